"""First writes: what the sidecar is asked, what it has found, and what a refusal means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.adapters.dapr import values
from bridge.adapters.dapr.values import Version
from bridge.errors import Conflict, PortError, Unavailable


@dataclass(frozen=True, slots=True)
class Write:
    """A value for a key, which ends at `ends` (milliseconds since 1970)."""

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
            "key": values.name(self.key),
            "value": values.wrap(self.value, self.ends),
            "options": {"concurrency": "first-write"},
            "metadata": values.metadata(self.ends, now, had_end=had_end),
        }
        return {**request, "etag": self.replaces.etag} if self.replaces else request


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a key, its time over or not."""

    value: bytes
    version: Version

    @classmethod
    def read(cls, key: str, item: Mapping[str, object]) -> Found | PortError | None:
        """From an item of Dapr's bulk answer; Unavailable if the key could not be read."""
        if item.get("error"):
            return Unavailable(f"The key {key!r} could not be read: {item['error']}")
        if item.get("data") is None:
            return None
        try:
            value, ends = values.unwrap(item["data"])
        except ValueError as fault:
            return Unavailable(f"The key {key!r} could not be read: {fault}.")
        return cls(value, Version(str(item.get("etag", "")), ends))

    def is_of(self, write: Write) -> bool:
        """Whether it is what the write would have made."""
        return self.value == write.value and self.version.ends == write.ends


def conflict(write: Write, found: Found | None, now: float) -> Conflict | None:
    """The conflict, if what stands there (or that nothing does) forbids the write for good."""
    allowed = found is None or found.version.over(now)
    if write.replaces is not None:
        allowed = found is not None and found.version == write.replaces
    return None if allowed else Conflict(f"The key {write.key!r} exists already, has changed or is gone.")
