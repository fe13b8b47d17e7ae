from __future__ import annotations

import pytest

from bridge.adapters.embedded.amqp.access import Access, NotAuthorized
from bridge.adapters.embedded.amqp.sas import Grant, knows_key, verify
from tests.adapters.embedded.amqp.raw_client import sas
from tests.adapters.embedded.amqp.sdk_kit import KEY, KEY_NAME

KEYS = {KEY_NAME: KEY}


@pytest.mark.parametrize(
    ("resource", "address"),
    [
        ("sb://127.0.0.1:5672/Orders", "orders"),
        ("amqps://127.0.0.1/orders/Subscriptions/all", "orders/subscriptions/all"),
        ("http://host/", ""),
        ("sb://host", ""),
        ("orders", "orders"),
    ],
)
def test_a_token_allows_what_its_resource_names(resource: str, address: str) -> None:
    assert verify(sas(resource, expires=2000), KEYS, 1000) == Grant(address, 2000)


def test_escapes_in_lower_case_are_signed_as_they_are() -> None:
    upper = sas("sb://h/a", expires=2000)
    assert "%3A" in upper
    assert verify(upper.replace("%3A", "%3a"), KEYS, 1000) is None  # the signature is over the other form


@pytest.mark.parametrize(
    "token",
    [
        sas("sb://h/a", expires=999),
        sas("sb://h/a", expires=2000, key="wrong"),
        sas("sb://h/a", expires=2000, name="unknown"),
        sas("sb://h/a", expires=2000).replace("sr=", "sr=x"),
        sas("sb://h/a", expires=2000).replace("se=2000", "se=3000"),
        sas("sb://h/a", expires=2000).replace("se=2000", "se=9" + "9" * 20),
        "SharedAccessSignature ",
        "SharedAccessSignature sr=a",
        "",
    ],
)
def test_any_other_token_is_worth_nothing(token: str) -> None:
    assert verify(token, KEYS, 1000) is None


def test_a_name_without_a_key_opens_nothing() -> None:
    assert not knows_key("", "", {"": ""})
    assert not knows_key("other", "", KEYS)
    assert verify(sas("sb://h/a", key="", name="", expires=2000), {"": ""}, 1000) is None


def test_grants_cover_what_is_below_them_until_they_expire() -> None:
    now = 1000.0
    access = Access(KEYS, lambda: now)
    access.allow(Grant("orders", 2000))
    assert access.allows("Orders/$DeadLetterQueue")
    assert not access.allows("orders2")
    with pytest.raises(NotAuthorized):
        access.check("other")
    assert not access.forget_expired()
    now = 2001.0
    assert not access.allows("orders")
    assert access.forget_expired()
    assert not access.any_grant


def test_the_grants_of_one_connection_are_bounded() -> None:
    access = Access(KEYS, lambda: 1000.0)
    for number in range(3000):
        access.allow(Grant(f"q{number}", 2000))
    assert not access.allows("q2999")
    assert access.allows("q0")
