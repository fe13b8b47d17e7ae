"""A cache of the runs that this process wrote or read last, with bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from bridge.run import Run

#: About how many bytes of memory a run takes for each byte of its stored form.
IN_MEMORY = 3


@dataclass(frozen=True, slots=True)
class CachedRun:
    """A run as it was stored at one moment."""

    run: Run
    etag: str
    size: int  #: bytes as stored
    digest: int  #: hash of these bytes
    at: datetime  #: when the store held this version

    @classmethod
    def of(cls, run: Run, etag: str, value: bytes, at: datetime) -> CachedRun:
        """A cached run, from the run and its stored form `value`."""
        return cls(run, etag, len(value), hash(value), at)

    def is_stored_as(self, value: bytes) -> bool:
        """Whether these bytes are its stored form."""
        return self.size == len(value) and self.digest == hash(value)


class RunCache:
    """Holds runs by correlation id, in about `most` bytes of memory. The oldest are dropped first."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._cached: OrderedDict[str, CachedRun] = OrderedDict()

    def peek(self, correlation_id: str) -> CachedRun | None:
        """The version that was put last, even if its retention is over."""
        return self._cached.get(correlation_id)

    def get(self, correlation_id: str, now: datetime) -> CachedRun | None:
        """The version that was put last, unless its retention is over."""
        cached = self._cached.get(correlation_id)
        if cached is not None and cached.run.expires_at is not None and cached.run.expires_at <= now:
            self.forget(correlation_id)
            return None
        return cached

    def put(self, cached: CachedRun) -> None:
        """Put a version in place of the one before."""
        self.forget(cached.run.correlation_id)
        self._cached[cached.run.correlation_id] = cached
        self._size += cached.size
        while self._size * IN_MEMORY > self._most:
            _, oldest = self._cached.popitem(last=False)
            self._size -= oldest.size

    def forget(self, correlation_id: str) -> None:
        """Drop the run, if the cache has it."""
        cached = self._cached.pop(correlation_id, None)
        if cached is not None:
            self._size -= cached.size
