"""The tokens that a client shows on $cbs: signatures made with a shared access key, ready-made ones, and those of Microsoft Entra."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import importlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, quote

SAS, JWT = "servicebus.windows.net:sastoken", "jwt"
_SCOPE = "https://servicebus.azure.net/.default"
_LIFE = 3600.0  #: seconds that a signature is good for
_UNKNOWN_LIFE = 1800.0  #: seconds after which a signature is shown again whose end cannot be read


class ShownToken(NamedTuple):
    """A token, its type on $cbs, and when it ends in seconds since 1970."""

    text: str
    kind: str
    expires: float


class TokenError(Exception):
    """No token can be had now."""


class TokenSource(Protocol):
    """Where tokens come from."""

    async def token(self, audience: str) -> ShownToken:
        """A token for an address. Raises TokenError."""

    async def close(self) -> None:
        """Close what was opened for it."""


class KeyTokens:
    """Signs with a shared access key; each signature is good for `life` seconds."""

    def __init__(self, key_name: str, key: str, life: float = _LIFE) -> None:
        self._key_name, self._key, self._life = key_name, key, life

    async def token(self, audience: str) -> ShownToken:
        """See `TokenSource`."""
        expires = time.time() + self._life
        return ShownToken(signed(audience, self._key_name, self._key, expires), SAS, expires)

    async def close(self) -> None:
        """See `TokenSource`."""


class SignatureTokens:
    """Shows a signature that somebody else has made."""

    def __init__(self, signature: str) -> None:
        self._signature = signature

    async def token(self, audience: str) -> ShownToken:  # noqa: ARG002 - it is good for what it was made for
        """See `TokenSource`."""
        ends = parse_qs(self._signature.partition(" ")[2]).get("se", [""])[0]
        return ShownToken(self._signature, SAS, float(ends) if ends.isdecimal() else time.time() + _UNKNOWN_LIFE)

    async def close(self) -> None:
        """See `TokenSource`."""


class IdentityTokens:
    """Tokens of Microsoft Entra for the identity that `options` name in the words of Azure Functions: credential, clientId, tenantId …

    Without options it is whatever identity this process can log in with. The library is imported when the first token is asked for.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options
        self._credential: Any = None

    async def token(self, audience: str) -> ShownToken:  # noqa: ARG002 - one token is good for all that the identity may do
        """See `TokenSource`."""
        try:
            if self._credential is None:
                library = await asyncio.to_thread(importlib.import_module, "azure.identity.aio")
                self._credential = credential(library, self._options)
            found = await self._credential.get_token(_SCOPE)
        except Exception as fault:  # noqa: BLE001 - the library raises its own errors, and those of what it asks
            raise TokenError(f"no token of Microsoft Entra: {_first_line(fault)}") from None
        return ShownToken(found.token, JWT, float(found.expires_on))

    async def close(self) -> None:
        """See `TokenSource`."""
        if self._credential is not None:
            await self._credential.close()


def credential(library: Any, options: Mapping[str, str]) -> Any:
    """The credential of the library azure-identity for the options of a connection (Azure Functions, identity-based connections)."""
    client, tenant, secret = (options.get(name, "") for name in ("clientid", "tenantid", "clientsecret"))
    if client and tenant and secret:
        return library.ClientSecretCredential(tenant, client, secret)
    if options.get("credential", "").lower() == "managedidentity":
        return library.ManagedIdentityCredential(**({"client_id": client} if client else {}))
    return library.DefaultAzureCredential(**({"managed_identity_client_id": client} if client else {}))


def signed(audience: str, key_name: str, key: str, expires: float) -> str:
    """A shared access signature for an address (Service Bus access control with shared access signatures)."""
    resource, expiry = quote(audience, safe=""), str(int(expires))
    signature = base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256)).decode()
    return f"SharedAccessSignature sr={resource}&sig={quote(signature, safe='')}&se={expiry}&skn={quote(key_name, safe='')}"


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:300]
