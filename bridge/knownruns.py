"""Runs that this process wrote or read lately, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from bridge.run import Run

#: Bytes of memory that a run takes for each byte of its stored form, about.
IN_MEMORY = 6


@dataclass(frozen=True, slots=True)
class Known:
    """A run as it was stored at a moment."""

    run: Run
    etag: str
    size: int  #: bytes as stored
    digest: int  #: hash of these bytes
    at: datetime  #: when this was so

    @classmethod
    def of(cls, run: Run, etag: str, value: bytes, at: datetime) -> Known:
        """`value` is the stored form."""
        return cls(run, etag, len(value), hash(value), at)

    def is_stored_as(self, value: bytes) -> bool:
        """Whether these are the bytes it was stored as."""
        return self.size == len(value) and self.digest == hash(value)


class KnownRuns:
    """By correlation id; `most` is about how many bytes of memory they may take. The oldest are forgotten first."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._known: OrderedDict[str, Known] = OrderedDict()

    def get(self, correlation_id: str) -> Known | None:
        """What was put last, whatever has become of it in the store."""
        return self._known.get(correlation_id)

    def kept(self, correlation_id: str, now: datetime) -> Known | None:
        """The same, unless its retention is over."""
        known = self._known.get(correlation_id)
        if known is not None and known.run.expires_at is not None and known.run.expires_at <= now:
            self.forget(correlation_id)
            return None
        return known

    def put(self, known: Known) -> None:
        """Instead of what was known of this run before."""
        self.forget(known.run.correlation_id)
        self._known[known.run.correlation_id] = known
        self._size += known.size
        while self._size * IN_MEMORY > self._most:
            _, oldest = self._known.popitem(last=False)
            self._size -= oldest.size

    def forget(self, correlation_id: str) -> None:
        """If it is known."""
        known = self._known.pop(correlation_id, None)
        if known is not None:
            self._size -= known.size
