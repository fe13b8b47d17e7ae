from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.auth import LOCAL, Caller, Signer, Tokens
from bridge.catalog.document import Allow
from bridge.errors import Forbidden, Unauthorized
from bridge.settings import Token
from bridge.testing import NOON
from tests.core_kit import ALICE, BOB, ROOT, a_run, automation, moderate

SIGNED = ["id", "source", "subject", "correlationid", "replytopic", "expirytime", "rerunof", "authid", "authtime", "inputdigest"]
SIGNER = Signer(b"0" * 32)
WEEK = timedelta(days=7)
attributes = st.fixed_dictionaries({}, optional={name: st.text(max_size=8) for name in SIGNED if name != "authtime"})


def is_ours(named: dict[str, str], later: timedelta = timedelta()) -> bool:
    return SIGNER.is_ours(named, NOON + later, WEEK)


def token(name: str, secret: str, *roles: str) -> Token:
    return Token(name=name, sha256=hashlib.sha256(secret.encode()).hexdigest(), roles=roles)


TOKENS = Tokens((token("alice", "s3cret", "operators"), token("root", "other", "admin")))


# Tokens.


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret "])
def test_a_known_token_names_its_caller(header):
    assert TOKENS.caller(header) == ALICE


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer S3cret", "Bearer s3cret2", "Basic s3cret", "s3cret", "Bearer é", "Bearers3cret"]
)
def test_anything_else_is_unauthorized_with_what_to_send(header):
    with pytest.raises(Unauthorized) as caught:
        TOKENS.caller(header)
    assert "Authorization: Bearer" in caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_without_tokens_whoever_reaches_the_port_may_do_everything():
    assert Tokens().caller("") is LOCAL
    assert LOCAL.is_admin


# Roles.


@pytest.mark.parametrize(
    ("submit", "caller", "allowed"),
    [
        (None, BOB, True),
        ((), BOB, False),
        (("operators",), ALICE, True),
        (("operators",), BOB, False),
        (("auditors", "operators"), ALICE, True),
        (("auditors",), ALICE, False),
        (("auditors",), ROOT, True),
        ((), ROOT, True),
    ],
)
def test_who_may_submit(submit, caller, allowed):
    assert caller.may_submit(automation(allow=Allow(submit=submit))) is allowed


@pytest.mark.parametrize(
    ("readers", "caller", "allowed"),
    [
        (None, ALICE, True),
        (None, BOB, False),
        (None, ROOT, True),
        (("auditors",), Caller("eve", frozenset({"auditors"})), True),
        (("auditors",), Caller("eve", frozenset({"operators"})), False),
        ((), BOB, False),
        ((), ALICE, True),
    ],
)
def test_who_may_read(readers, caller, allowed):
    run = a_run(caller=ALICE)
    run = replace(run, control=replace(run.control, readers=readers))
    assert caller.may_read(run) is allowed


def test_only_admin_is_admin():
    ROOT.require_admin()
    with pytest.raises(Forbidden, match=r"alice is not admin\. .* 'admin'"):
        ALICE.require_admin()


# Signatures.


@moderate
@given(attributes, st.dictionaries(st.sampled_from(["type", "time", "traceparent", "x"]), st.text(max_size=5)))
def test_a_signed_event_is_ours_whatever_else_it_carries(named, more):
    signed = SIGNER.sign(named, NOON)
    assert is_ours({**signed, **more})
    assert {name: signed[name] for name in named} == named


@moderate
@given(attributes, st.sampled_from(SIGNED), st.text(max_size=8))
def test_any_changed_signed_attribute_breaks_the_signature(named, changed, value):
    signed = SIGNER.sign(named, NOON)
    assert is_ours({**signed, changed: value}) is (value == signed.get(changed, ""))


@moderate
@given(attributes, st.text(max_size=8) | st.sampled_from(["0" * 64, "é"]))
def test_a_made_up_signature_is_not_ours(named, signature):
    assert not is_ours({**named, "authsignature": signature})
    assert not is_ours(named)


def test_a_signature_lasts_as_long_as_ended_runs_are_kept():
    signed = SIGNER.sign({"id": "1"}, NOON)
    assert is_ours(signed, WEEK)
    assert not is_ours(signed, WEEK + timedelta(microseconds=1))


def test_the_time_is_the_signers_not_the_senders():
    signed = SIGNER.sign({"id": "1", "authtime": (NOON + 100 * WEEK).isoformat()}, NOON)
    assert not is_ours(signed, 2 * WEEK)


def test_another_key_signs_otherwise():
    assert not Signer(b"1" * 32).is_ours(SIGNER.sign({"id": "1"}, NOON), NOON, WEEK)


def test_the_key_does_not_show():
    assert "000" not in repr(SIGNER)


@pytest.mark.parametrize(
    ("signed", "forged"),
    [
        ({"id": "a", "source": "b\nsource=c"}, {"id": "a\nsource=b", "source": "c"}),
        (
            {
                "source": "/s\nsubject=delete.everything\ncorrelationid=c-2\nreplytopic=\nexpirytime=\nrerunof=",
                "subject": "report",
                "correlationid": "c-1",
                "authid": "bob",
            },
            {
                "source": "/s",
                "subject": "delete.everything",
                "correlationid": "c-2",
                "rerunof": "\nsubject=report\ncorrelationid=c-1\nreplytopic=\nexpirytime=\nrerunof=",
                "authid": "bob",
            },
        ),
    ],
    ids=["shifted", "another automation"],
)
def test_no_two_events_share_a_signature(signed, forged):
    assert not is_ours({**forged, "authsignature": SIGNER.sign(signed, NOON)["authsignature"]})
