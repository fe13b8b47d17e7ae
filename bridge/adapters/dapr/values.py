"""How a value stands in a Dapr state store, and which versions of it there are.

The sidecar reads JSON into floating-point numbers and writes them back, so a value never is JSON to it but one string: 2^60 comes back as
it went. A value that ends carries the moment itself: `[text, milliseconds since 1970]`. Stores count times to live in whole seconds and
from their own clock, some keep none at all; with the moment in the value all say the same. The store's own time to live, which is a
minute longer, only clears away.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic_core import from_json, to_json

MARGIN = 60  #: seconds that the store keeps a value beyond its end; longer than the clocks of two replicas may differ
_WRITTEN = {"~": "~0", "/": "~1", "\\": "~2", "?": "~3", "#": "~4"}
_FOR_EVER = "-1"  #: Dapr's time to live of what had one and has none any more


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key: the store's own mark, and when its value ends (milliseconds since 1970)."""

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


def end_of(ttl: timedelta | None, now: float) -> int | None:
    """When a value written `now` ends, in milliseconds since 1970."""
    return None if ttl is None else math.ceil((now + ttl.total_seconds()) * 1000)


def metadata(ends: int | None, now: float, *, had_end: bool) -> dict[str, str]:
    """What tells the store when it may clear away. `had_end`: the version before had an end, which some stores would keep."""
    if ends is not None:
        return {"ttlInSeconds": str(max(math.ceil(ends / 1000 - now), 0) + MARGIN)}
    return {"ttlInSeconds": _FOR_EVER} if had_end else {}


def name(key: str) -> str:
    """The key as the store knows it: Cosmos DB takes none with `/`, `\\`, `?` or `#`. Written as in RFC 6901, so no two become one."""
    for mark, written in _WRITTEN.items():
        key = key.replace(mark, written)
    return key


def wrap(value: bytes, ends: int | None) -> Any:
    """What the store is given."""
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


def dump(body: Any) -> bytes:
    """JSON for the sidecar."""
    return to_json(body)


def load(body: bytes) -> Any:
    """JSON from the sidecar. Raises ValueError."""
    return from_json(body)
