from __future__ import annotations

from dataclasses import replace

import pytest
from automations import certificate
from automations.fleet_certificates import expiry, strength, weaknesses
from automations.refusal import Refusal
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.functions.conftest import BROKEN, NOW, make_certificate


def test_certificates_are_counted_by_when_they_expire() -> None:
    found = expiry({"bundle": "".join(make_certificate(days=days) for days in (-5, -1, 3, 29, 31, 400))}, NOW)
    assert (found["expired"], found["withinWarnDays"], found["later"]) == (2, 2, 2)


def test_the_days_of_warning_can_be_chosen() -> None:
    bundle = "".join(make_certificate(days=days) for days in (3, 29, 31))
    assert expiry({"bundle": bundle, "warnDays": 5}, NOW)["withinWarnDays"] == 1


def test_the_ten_next_to_expire_come_soonest_first_and_without_the_expired() -> None:
    bundle = "".join(make_certificate(f"host-{days}", days=days) for days in range(20, -4, -2))
    named = expiry({"bundle": bundle}, NOW)["next"]
    assert [each["daysLeft"] for each in named] == list(range(0, 20, 2))
    assert named[0] == {"position": 11, "subject": "CN=host-0", "notAfter": "2026-03-01T12:00:00Z", "daysLeft": 0}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-9, 60) | st.none(), min_size=1, max_size=12).filter(any))
def test_every_certificate_counts_once(days: list[int | None]) -> None:
    bundle = "".join(BROKEN if each is None else make_certificate(days=each) for each in days)
    found = expiry({"bundle": bundle}, NOW)
    assert found["certificates"] == found["expired"] + found["withinWarnDays"] + found["later"]
    assert found["certificates"] + found["unreadable"]["count"] == len(days)


def test_unreadable_certificates_are_named_by_position_and_do_not_stop_the_others() -> None:
    found = strength({"bundle": make_certificate() + BROKEN + make_certificate()})
    assert found["certificates"] == 2
    assert found["unreadable"]["count"] == 1
    assert found["unreadable"]["named"][0]["position"] == 2


@pytest.mark.parametrize("bundle", ["", "prose", BROKEN * 3])
def test_a_bundle_without_a_certificate_is_refused(bundle: str) -> None:
    with pytest.raises(Refusal, match="Send the text of PEM files") as caught:
        strength({"bundle": bundle})
    assert caught.value.code == "NoCertificates"


def test_a_bundle_of_half_written_certificates_is_read_in_one_pass() -> None:
    bundle = certificate.BEGIN * 30_000 + make_certificate()
    assert expiry({"bundle": bundle}, NOW)["unreadable"]["count"] == 30_000


@pytest.mark.parametrize("days", [0, 3651, "30", 1.5, True, None])
def test_days_of_warning_that_are_no_such_number_are_refused(days: object) -> None:
    with pytest.raises(Refusal, match="`warnDays` must be a whole number from 1 to 3650"):
        expiry({"bundle": make_certificate(), "warnDays": days}, NOW)


def test_keys_and_signatures_are_counted_and_the_weak_are_named() -> None:
    small = make_certificate("old", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - weak on purpose
    found = strength({"bundle": make_certificate() * 2 + small})
    assert found["keys"] == [{"type": "EC", "bits": 256, "count": 2}, {"type": "RSA", "bits": 1024, "count": 1}]
    assert found["signatures"] == {"ECDSA with SHA256": 2, "RSA with SHA256": 1}
    reasons = ["RSA key of 1024 bits; 2048 are the least"]
    assert found["weak"] == {"count": 1, "named": [{"position": 3, "subject": "CN=old", "selfIssued": True, "reasons": reasons}]}


@pytest.mark.parametrize(("hashed", "said"), [("sha1", ["signed with SHA-1"]), ("md5", ["signed with MD5"]), ("sha256", []), ("", [])])
def test_a_signature_over_an_old_hash_is_weak(hashed: str, said: list[str]) -> None:
    assert weaknesses(replace(certificate.read(make_certificate().strip()), signature_hash=hashed)) == said
