"""How a value stands in a Dapr state store, how a write of it is requested, and which versions of it there are. Pure.

The sidecar reads JSON into floating-point numbers and writes them back, so a value is never JSON to it but one string: 2^60 comes back as
it went. A value with a time to live carries the moment of its end: `[text, milliseconds since 1970]`. Stores count times to live in whole
seconds and by their own clock, and some keep none at all; with the moment in the value all agree. The store's own time to live, which is a
minute longer, only removes the value.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bridge.errors import PortError, Unavailable

MARGIN = 60  #: seconds that the store keeps a value beyond its end; longer than the clocks of two replicas may differ
_WRITTEN = {"~": "~0", "/": "~1", "\\": "~2", "?": "~3", "#": "~4"}
_FOR_EVER = "-1"  #: Dapr's time to live of what had one and has none any more


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key: the store's own etag, and when its value ends (milliseconds since 1970)."""

    etag: str
    ends: int | None = None

    @property
    def text(self) -> str:
        """The etag that callers carry."""
        return f"{self.etag}~{'' if self.ends is None else self.ends}"

    @classmethod
    def read(cls, text: str) -> Version | None:
        """What `text` wrote, or None if it was made up."""
        etag, mark, ends = text.rpartition("~")
        if not mark or not (ends == "" or ends.isdecimal()):
            return None
        return cls(etag, int(ends) if ends else None)

    def over(self, now: float) -> bool:
        """Whether the value had ended at `now` (seconds since 1970)."""
        return self.ends is not None and self.ends <= now * 1000


@dataclass(frozen=True, slots=True)
class StateWrite:
    """A value to be stored at a key until `ends` (milliseconds since 1970)."""

    key: str
    value: bytes
    ends: int | None
    replaces: Version | None  #: None: the key must not exist

    @property
    def size(self) -> int:
        """About how many bytes it takes in a request."""
        return len(self.key) + len(self.value)

    def request(self, now: float) -> dict[str, object]:
        """As Dapr's state API takes it, `now` in seconds since 1970."""
        had_end = self.replaces is not None and self.replaces.ends is not None
        request: dict[str, object] = {
            "key": name(self.key),
            "value": wrap(self.value, self.ends),
            "options": {"concurrency": "first-write"},
            "metadata": metadata(self.ends, now, had_end=had_end),
        }
        return {**request, "etag": self.replaces.etag} if self.replaces else request


@dataclass(frozen=True, slots=True)
class StateItem:
    """What the store holds at a key, whether its time to live is over or not."""

    value: bytes
    version: Version

    @classmethod
    def read(cls, key: str, item: Mapping[str, object]) -> StateItem | PortError | None:
        """The item in Dapr's bulk answer, None if there is none, Unavailable if the key could not be read."""
        if item.get("error"):
            return Unavailable(f"The key {key!r} could not be read: {item['error']}")
        if item.get("data") is None:
            return None
        try:
            value, ends = unwrap(item["data"])
        except ValueError as fault:
            return Unavailable(f"The key {key!r} could not be read: {fault}.")
        return cls(value, Version(str(item.get("etag", "")), ends))

    def was_made_by(self, write: StateWrite) -> bool:
        """Whether it is what the write would have stored."""
        return self.value == write.value and self.version.ends == write.ends


def end_of(ttl: timedelta | None, now: float) -> int | None:
    """When a value written `now` ends, in milliseconds since 1970."""
    return None if ttl is None else math.ceil((now + ttl.total_seconds()) * 1000)


def metadata(ends: int | None, now: float, *, had_end: bool) -> dict[str, str]:
    """What tells the store when it may remove the value. `had_end`: the version before had an end, which some stores would keep."""
    if ends is not None:
        return {"ttlInSeconds": str(max(math.ceil(ends / 1000 - now), 0) + MARGIN)}
    return {"ttlInSeconds": _FOR_EVER} if had_end else {}


def name(key: str) -> str:
    """The key as the store knows it: Cosmos DB takes none with `/`, `\\`, `?` or `#`. Written as in RFC 6901, so no two become one."""
    for mark, written in _WRITTEN.items():
        key = key.replace(mark, written)
    return key


def wrap(value: bytes, ends: int | None) -> Any:
    """The value as the store is given it."""
    try:
        kept: Any = value.decode()
    except UnicodeDecodeError:
        kept = {"base64": base64.b64encode(value).decode()}
    return kept if ends is None else [kept, str(ends)]


def unwrap(stored: Any) -> tuple[bytes, int | None]:
    """The value, and when it ends. Raises ValueError for what `wrap` did not write."""
    match stored:
        case [kept, str(ends)]:
            return _bytes(kept), int(ends)
        case kept:
            return _bytes(kept), None


def _bytes(kept: Any) -> bytes:
    match kept:
        case str():
            return kept.encode()
        case {"base64": str(encoded)}:
            return base64.b64decode(encoded, validate=True)
    raise ValueError("the store holds something that the bridge did not write")
