"""Authenticates callers, and signs events so that the bridge can later recognize the callers that it has authenticated.

The API checks a token, but messages on the bus have none. So the API writes the caller and the time into the event (`authid`, `authtime`)
and signs it (`authsignature`: an HMAC-SHA256 with the bridge's own key over the caller, the attributes that the API checked and the digest
of the input). An event without a valid signature gets the identity and roles that the settings give its topic.

A signature is valid for as long as an ended run is kept. Until then a copy of the event is a repeat, which gets the existing run. After
that the correlation id is free, and a copy must not start the work again in the caller's name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic_core import to_json

from bridge.catalog import Automation
from bridge.errors import Forbidden, Unauthorized
from bridge.run import Invocation, Run
from bridge.settings import Token

ADMIN = "admin"
_SIGNED = ("id", "source", "subject", "correlationid", "replytopic", "expirytime", "rerunof", "authid", "authtime", "inputdigest")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: a name and roles."""

    name: str
    roles: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_admin(self) -> bool:
        """Whether the caller has the role admin, which may see and do everything."""
        return ADMIN in self.roles

    def may_submit(self, automation: Automation) -> bool:
        """Whether the caller may submit requests. Without `allow.submit` every authenticated caller may."""
        allowed = automation.allow.submit
        return allowed is None or self.is_admin or not self.roles.isdisjoint(allowed)

    def may_read(self, run: Run) -> bool:
        """Whether the caller may read the run: its submitter, admin, and the roles that `allow.read` named when the run was accepted."""
        return self.is_admin or self.name == run.control.submitter or not self.roles.isdisjoint(run.control.readers or ())

    def require_admin(self) -> None:
        """Raises Forbidden unless the caller is admin."""
        if not self.is_admin:
            raise Forbidden(f"{self.name} is not admin.", hint=f"Dead letters, the audit and the configuration need the role {ADMIN!r}.")


#: The caller when no tokens are configured. The API listens on loopback only then, and every client may do everything.
LOCAL = Caller("local", frozenset({ADMIN}))


@dataclass(frozen=True)
class Tokens:
    """The configured API tokens, of which only the SHA-256 hashes are known."""

    tokens: Sequence[Token] = ()

    def caller(self, authorization: str) -> Caller:
        """The caller whose token an `Authorization` header carries. Compares all tokens in constant time. Raises Unauthorized."""
        if not self.tokens:
            return LOCAL
        scheme, _, presented = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("The request has no bearer token.")
        digest = hashlib.sha256(presented.strip().encode()).hexdigest()
        found: Token | None = None
        for token in self.tokens:
            if hmac.compare_digest(token.sha256.lower(), digest):
                found = token
        if found is None:
            raise Unauthorized("The bearer token is not known.")
        return Caller(found.name, frozenset(found.roles))


@dataclass(frozen=True)
class Signer:
    """Signs the events that the API accepted, and verifies the signature when they are delivered."""

    key: bytes = field(repr=False)

    def sign(self, attributes: Mapping[str, str], now: datetime) -> dict[str, str]:
        """The attributes with the time and the signature added."""
        named = {**attributes, "authtime": now.isoformat()}
        return {**named, "authsignature": self._signature(named)}

    def is_ours(self, attributes: Mapping[str, str], now: datetime, lifetime: timedelta) -> bool:
        """Whether the bridge signed exactly these attributes, at most `lifetime` ago."""
        if not hmac.compare_digest(self._signature(attributes).encode(), attributes.get("authsignature", "").encode()):
            return False
        return now - datetime.fromisoformat(attributes["authtime"]) <= lifetime

    def _signature(self, attributes: Mapping[str, str]) -> str:
        signed = to_json([attributes.get(name, "") for name in _SIGNED])  # in JSON no text can move from one attribute to the next
        return hmac.digest(self.key, signed, "sha256").hex()


def invocation_with(token: str, run: Run | None, target: str) -> Invocation | None:
    """The invocation of this target if the token belongs to it, otherwise None. Compares in constant time."""
    invocation = run.invocation(target) if run else None
    expected = invocation.control.token if invocation else ""
    return invocation if hmac.compare_digest(expected.encode(), token.encode()) else None
