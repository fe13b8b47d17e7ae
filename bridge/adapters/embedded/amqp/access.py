"""What the client of one connection has shown tokens for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from bridge.adapters.embedded.amqp.brokererrors import BrokerError
from bridge.adapters.embedded.amqp.sas import Grant, verify

_MOST = 2000  #: grants of one connection


class NotAuthorized(BrokerError):
    """No token allows it."""

    condition: ClassVar[str] = "amqp:unauthorized-access"
    status: ClassVar[int] = 401


class Access:
    """The grants of one connection. `clock` gives seconds since 1970."""

    def __init__(self, keys: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock
        self._grants: dict[str, float] = {}

    def show(self, token: str) -> bool:
        """Keep what a token allows; False if it is worth nothing."""
        grant = verify(token, self._keys, self._clock())
        if grant is None:
            return False
        self.allow(grant)
        return True

    def allow(self, grant: Grant) -> None:
        """Keep a grant. A later one for the same address replaces it."""
        if len(self._grants) >= _MOST:
            now = self._clock()
            self._grants = {address: expires for address, expires in self._grants.items() if expires > now}
        if len(self._grants) < _MOST:
            self._grants[grant.address] = grant.expires

    def allows(self, address: str) -> bool:
        """Whether a grant that has not expired covers the address."""
        now, scope = self._clock(), address.lower()
        while True:
            if self._grants.get(scope, 0.0) > now:
                return True
            if not scope:
                return False
            scope = scope.rpartition("/")[0]

    @property
    def any_grant(self) -> bool:
        """Whether the client has shown anything."""
        return bool(self._grants)

    def check(self, address: str) -> None:
        """Raises NotAuthorized unless a grant covers the address."""
        if not self.allows(address):
            raise NotAuthorized(f"No valid token was shown for '{address}'. Check the shared access key, and put a token to $cbs first.")

    def forget_expired(self) -> bool:
        """Drop grants that have expired; whether there were any."""
        now = self._clock()
        if min(self._grants.values(), default=now + 1) > now:
            return False
        self._grants = {address: expires for address, expires in self._grants.items() if expires > now}
        return True
