from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from automations.certificate_inspect import inspect
from automations.refusal import Refusal
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.functions.conftest import BROKEN, NOW, make_certificate

HOSTS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?\.example", fullmatch=True)


def refusal(pem: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        inspect({"pem": pem}, NOW)
    return caught.value


@settings(max_examples=50, deadline=None)
@given(
    name=st.text('abcäß= ,+"\\<>;#', min_size=1, max_size=30),
    names=st.lists(HOSTS, max_size=5),
    serial=st.integers(1, 2**159 - 1),
    since=st.integers(0, 1_700_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    days=st.integers(-300, 8_000),
)
def test_a_certificate_is_read_back_exactly(name: str, names: list[str], serial: int, since: datetime, days: int) -> None:
    pem = make_certificate(name, names=tuple(names), serial=serial, since=since, days=days, issuer="Root")
    found = inspect({"pem": pem}, NOW)
    assert found["names"] == names
    assert int(found["serial"], 16) == serial
    assert datetime.fromisoformat(found["notBefore"]) == since
    assert datetime.fromisoformat(found["notAfter"]) == NOW + timedelta(days=days)
    assert (found["daysLeft"], found["expired"]) == (days, days < 0)
    assert (found["issuer"], found["subject"].startswith("CN=")) == ("CN=Root", True)
    assert found["fingerprintSha256"] == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def test_key_and_signature_are_named() -> None:
    found = inspect({"pem": make_certificate()}, NOW)
    assert (found["keyType"], found["keyBits"], found["signature"]) == ("EC", 256, "ECDSA with SHA256")
    found = inspect({"pem": make_certificate(key=rsa.generate_private_key(65537, 2048))}, NOW)
    assert (found["keyType"], found["keyBits"], found["signature"]) == ("RSA", 2048, "RSA with SHA256")


def test_a_key_without_a_choice_of_size_has_no_bits() -> None:
    found = inspect({"pem": make_certificate(key=ed25519.Ed25519PrivateKey.generate())}, NOW)
    assert (found["keyType"], found["signature"]) == ("Ed25519", "ED25519")
    assert "keyBits" not in found


def test_of_a_chain_the_first_is_inspected_and_all_are_counted() -> None:
    chain = "Subject: leaf\n" + make_certificate("leaf") + "Subject: root\n" + make_certificate("root")
    found = inspect({"pem": chain}, NOW)
    assert (found["subject"], found["certificates"]) == ("CN=leaf", 2)


def test_a_certificate_that_ended_an_hour_ago_has_expired() -> None:
    found = inspect({"pem": make_certificate(days=-1 / 24)}, NOW)
    assert (found["expired"], found["daysLeft"]) == (True, -1)


def test_a_certificate_holds_through_its_last_second() -> None:
    assert inspect({"pem": make_certificate(days=0)}, NOW)["expired"] is False


@pytest.mark.parametrize("pem", ["", "hello", BROKEN, make_certificate()[:300]], ids=["empty", "prose", "broken", "cut off"])
def test_what_is_no_certificate_is_refused_with_what_to_send(pem: str) -> None:
    said = refusal(pem)
    assert said.code == "NotACertificate"
    assert "Send the text of a PEM file" in said.message


def test_something_else_in_pem_is_named_by_its_label_and_not_repeated() -> None:
    said = refusal("-----BEGIN RSA PRIVATE KEY-----\nMIIsecret\n-----END RSA PRIVATE KEY-----")
    assert "but a RSA PRIVATE KEY" in said.message
    assert "MIIsecret" not in said.message


@pytest.mark.parametrize(("pem", "kind"), [(None, "missing"), (7, "a number"), (True, "true or false"), ({}, "an object")])
def test_a_pem_that_is_no_text_is_refused_by_its_kind(pem: object, kind: str) -> None:
    said = refusal(pem)
    assert said.code == "InvalidInput"
    assert kind in said.message


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(max_size=200).map(lambda text: f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"))
def test_no_text_crashes_it(text: str) -> None:
    assert refusal(text).code == "NotACertificate"
