"""The form of a value in a Dapr state store, of a write request, and of its versions. All functions are pure.

The sidecar parses JSON numbers as floating-point and writes them back. So a value is never JSON to the sidecar but one string, and 2^60
comes back unchanged. A value with a time to live is stored with the time of its expiry: `[text, milliseconds since 1970]`. Stores count
times to live in whole seconds and by their own clocks, and some do not support them. With the time in the value, all stores behave alike.
The store's own time to live is one minute longer and only removes the value.
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
    """One version of a key: the store's etag, and when the value expires (milliseconds since 1970)."""

    etag: str
    ends: int | None = None

    @property
    def text(self) -> str:
        """The etag in the form that callers use."""
        return f"{self.etag}~{'' if self.ends is None else self.ends}"

    @classmethod
    def read(cls, text: str) -> Version | None:
        """The version with this `text`; None if the text was made up."""
        etag, mark, ends = text.rpartition("~")
        if not mark or not (ends == "" or ends.isdecimal()):
            return None
        return cls(etag, int(ends) if ends else None)

    def over(self, now: float) -> bool:
        """Whether the value has expired at `now` (seconds since 1970)."""
        return self.ends is not None and self.ends <= now * 1000


@dataclass(frozen=True, slots=True)
class StateWrite:
    """A value to be stored under a key until `ends` (milliseconds since 1970)."""

    key: str
    value: bytes
    ends: int | None
    replaces: Version | None  #: None: the key must not exist

    @property
    def size(self) -> int:
        """The approximate number of bytes in a request."""
        return len(self.key) + len(self.value)

    def request(self, now: float) -> dict[str, object]:
        """The write in the form of Dapr's state API; `now` is in seconds since 1970."""
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
    """What the store holds under a key, even if it has expired."""

    value: bytes
    version: Version

    @classmethod
    def read(cls, key: str, item: Mapping[str, object]) -> StateItem | PortError | None:
        """The item in Dapr's bulk answer; None if there is none, Unavailable if the key could not be read."""
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
        """Whether the item is what this write would have stored."""
        return self.value == write.value and self.version.ends == write.ends


def end_of(ttl: timedelta | None, now: float) -> int | None:
    """When a value that is written `now` expires, in milliseconds since 1970."""
    return None if ttl is None else math.ceil((now + ttl.total_seconds()) * 1000)


def metadata(ends: int | None, now: float, *, had_end: bool) -> dict[str, str]:
    """The metadata for the time to live in the store. `had_end`: the previous version had one, which some stores would keep."""
    if ends is not None:
        return {"ttlInSeconds": str(max(math.ceil(ends / 1000 - now), 0) + MARGIN)}
    return {"ttlInSeconds": _FOR_EVER} if had_end else {}


def name(key: str) -> str:
    r"""The key in the form that the store accepts.

    Cosmos DB accepts none with `/`, `\`, `?` or `#`. They are escaped as in RFC 6901, so that no two keys become the same.
    """
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
    """The value, and when it expires. Raises ValueError for text that `wrap` did not write."""
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
