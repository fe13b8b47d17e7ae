"""Tokens as a namespace takes them."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.adapters.embedded.amqp.sas import verify
from bridge.local.functions.servicebus.tokens import IdentityTokens, KeyTokens, SignatureTokens, TokenError, credential


async def test_a_signature_is_good_for_its_address_and_its_time_only() -> None:
    token = await KeyTokens("a name", "key", life=60).token("sb://127.0.0.1/orders/Subscriptions/mine")
    grant = verify(token.text, {"a name": "key"}, time.time())
    assert grant is not None
    assert (grant.address, grant.expires) == ("orders/subscriptions/mine", int(token.expires))
    assert verify(token.text, {"a name": "key"}, time.time() + 61) is None
    assert verify(token.text, {"a name": "other"}, time.time()) is None


async def test_a_ready_made_signature_is_shown_as_it_is_until_its_end() -> None:
    token = await SignatureTokens("SharedAccessSignature sr=x&sig=y&se=4102444800&skn=z").token("sb://ns/orders")
    assert (token.text, token.expires) == ("SharedAccessSignature sr=x&sig=y&se=4102444800&skn=z", 4102444800.0)


class Library:
    """Stands for azure-identity."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: (name, args, options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("DefaultAzureCredential", (), {})),
        ({"clientid": "4711"}, ("DefaultAzureCredential", (), {"managed_identity_client_id": "4711"})),
        ({"credential": "managedidentity"}, ("ManagedIdentityCredential", (), {})),
        ({"credential": "managedidentity", "clientid": "4711"}, ("ManagedIdentityCredential", (), {"client_id": "4711"})),
        ({"clientid": "c", "tenantid": "t", "clientsecret": "s"}, ("ClientSecretCredential", ("t", "c", "s"), {})),
    ],
)
def test_the_identity_is_the_one_that_the_settings_of_the_connection_name(options: dict[str, str], expected: object) -> None:
    assert credential(Library(), options) == expected


async def test_an_identity_that_gets_no_token_is_an_error_in_one_line() -> None:
    async def refuse(_: str) -> object:
        raise RuntimeError("not logged in\nand much more")

    tokens = IdentityTokens({})
    tokens._credential = SimpleNamespace(get_token=refuse)
    with pytest.raises(TokenError, match=r"^no token of Microsoft Entra: not logged in$"):
        await tokens.token("sb://ns/orders")
