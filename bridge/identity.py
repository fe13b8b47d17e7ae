"""Who is calling, and how an event proves that one of the bridge's own doors has checked it.

Doors check a token; the bus has none. So a door writes the caller and the time into the event (`authid`, `authtime`) and signs what it
checked (`authsignature`, an HMAC-SHA256 with the bridge's own key over the attributes that matter and the digest of the input). An event
without a valid signature has the identity and roles that the settings give its topic (DESIGN 3.5.7).

A signature is valid for as long as an ended run is kept. Until then the run of the event answers a copy of it; afterwards its
correlation id is free, and a copy must not start the work anew in its caller's name.
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
from bridge.run import Run
from bridge.settings import Token

ADMIN = "admin"
_SIGNED = ("id", "source", "subject", "correlationid", "replytopic", "expirytime", "rerunof", "authid", "authtime", "inputdigest")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a name and roles."""

    name: str
    roles: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_admin(self) -> bool:
        """Whether the caller may see and do everything."""
        return ADMIN in self.roles

    def may_submit(self, automation: Automation) -> bool:
        """Without `allow.submit` any authenticated caller may."""
        allowed = automation.allow.submit
        return allowed is None or self.is_admin or not self.roles.isdisjoint(allowed)

    def may_read(self, run: Run) -> bool:
        """The submitter, admin, and the roles of `allow.read` as they were when the run was accepted."""
        return self.is_admin or self.name == run.control.submitter or not self.roles.isdisjoint(run.control.readers or ())

    def require_admin(self) -> None:
        """Raises Forbidden unless the caller is admin."""
        if not self.is_admin:
            raise Forbidden(f"{self.name} is not admin.", hint=f"Dead letters need the role {ADMIN!r}.")


#: Who calls when no tokens are configured: the API is on loopback only then, and whoever reaches it may do everything.
LOCAL = Caller("local", frozenset({ADMIN}))


@dataclass(frozen=True)
class Tokens:
    """The configured API tokens. Only their SHA-256 is known."""

    tokens: Sequence[Token] = ()

    def caller(self, authorization: str) -> Caller:
        """The caller behind an `Authorization` header. Raises Unauthorized. All tokens are compared, in constant time."""
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
    """Signs events at the doors and tells them from others."""

    key: bytes = field(repr=False)

    def sign(self, attributes: Mapping[str, str], now: datetime) -> dict[str, str]:
        """The attributes with the time and their signature."""
        named = {**attributes, "authtime": now.isoformat()}
        return {**named, "authsignature": self._signature(named)}

    def is_ours(self, attributes: Mapping[str, str], now: datetime, lifetime: timedelta) -> bool:
        """Whether one of the bridge's doors signed exactly this, no longer than `lifetime` ago."""
        if not hmac.compare_digest(self._signature(attributes).encode(), attributes.get("authsignature", "").encode()):
            return False
        return now - datetime.fromisoformat(attributes["authtime"]) <= lifetime

    def _signature(self, attributes: Mapping[str, str]) -> str:
        signed = to_json([attributes.get(name, "") for name in _SIGNED])  # JSON keeps what is in one attribute apart from the next
        return hmac.digest(self.key, signed, "sha256").hex()
