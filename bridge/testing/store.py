"""A store in memory, which fails as the test says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.errors import Conflict, PortError
from bridge.ports import Stored
from bridge.testing.clock import FakeClock


@dataclass
class _Fault:
    error: PortError
    key: str
    written: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    value: bytes
    etag: str
    ends: datetime | None


class MemoryStore:
    """Implements `ports.Store` with etags and times to live. `calls` counts the calls of each method."""

    def __init__(self, clock: FakeClock, *, shared: bool = False) -> None:
        self.shared = shared
        self.is_full = False  #: set by the test; `create` works all the same
        self.calls: dict[str, int] = {"create": 0, "save": 0, "get": 0}
        self.unreachable: PortError | None = None  #: if set, every method raises it
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._etags = itertools.count(1)
        self._faults: list[_Fault] = []

    def fail(self, error: PortError, *, key: str = "", written: bool = False, times: int = 1) -> None:
        """Let the next `times` writes to keys that start with `key` raise `error`. With `written` they are stored all the same."""
        self._faults += [_Fault(error, key, written)] * times

    def stored_keys(self) -> list[str]:
        """The keys whose time to live is not over, sorted."""
        return sorted(key for key in self._kept if self._alive(key) is not None)

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key. Raises Conflict if it exists."""
        self._count("create")
        if self._alive(key) is not None:
            raise Conflict(f"The key {key!r} exists already.")
        return self._write(key, value, ttl)

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag`. Raises Conflict if the key has another version or does not exist."""
        self._count("save")
        stored = self._alive(key)
        if stored is None or stored.etag != etag:
            raise Conflict(f"The key {key!r} has changed since version {etag} or is gone.")
        return self._write(key, value, ttl)

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None."""
        self._count("get")
        stored = self._alive(key)
        return Stored(stored.value, stored.etag) if stored else None

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`."""
        return [await self.get(key) for key in keys]

    def _count(self, verb: str) -> None:
        if self.unreachable is not None:
            raise self.unreachable
        self.calls[verb] += 1

    def _alive(self, key: str) -> _Kept | None:
        stored = self._kept.get(key)
        return stored if stored is not None and (stored.ends is None or stored.ends > self._clock.steady()) else None

    def _write(self, key: str, value: bytes, ttl: timedelta | None) -> str:
        fault = next((each for each in self._faults if key.startswith(each.key)), None)
        if fault is not None:
            self._faults.remove(fault)
        etag = f"v{next(self._etags)}"
        if fault is None or fault.written:
            self._kept[key] = _Kept(value, etag, self._clock.steady() + ttl if ttl is not None else None)
        if fault is not None:
            raise fault.error
        return etag
