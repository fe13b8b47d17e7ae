"""What the bridge asks of the world: five ports, each with the few verbs that every supported bus and store can keep.

No transaction across keys, no listing of keys, no ordering, no exactly-once. Adapters raise `errors.PortError` (for `Functions`
also `errors.CallFailed`) and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One event on its way to a topic, with the broker properties that subscriptions may filter on."""

    topic: str
    body: bytes
    message_id: str = ""
    correlation_id: str = ""
    label: str = ""
    content_type: str = "application/cloudevents+json"
    deliver_at: datetime | None = None
    time_to_live: timedelta | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message handed over by the bus. `attempt` counts deliveries from 1; a bus that cannot count says 1."""

    source: str
    message: Message
    attempt: int = 1
    enqueued_at: datetime | None = None


class Ack(StrEnum):
    """What a handler may answer. DONE removes the message; RETRY brings it back after a growing pause."""

    DONE = "done"
    RETRY = "retry"


Handler = Callable[[Delivery], Awaitable[Ack]]


class Bus(Protocol):
    """Topics in, deliveries out. Messages are delivered at least once, in any order."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store every message durably before returning.

        Raises Full or Unavailable (some may have been stored) and Undeliverable (unknown topic, message too large).
        """

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Hand every message of `source` ("topic/subscription" or a queue's name) to `handler`, `concurrency` at a time."""


class Stored(NamedTuple):
    """A value with the version it has in the store."""

    value: bytes
    etag: str


class Store(Protocol):
    """Keys with values and versions. Every write is a first write: it names the version it replaces, or that there is none."""

    @property
    def shared(self) -> bool:
        """Whether other processes write the same keys; if not, what this process wrote last is what the store holds."""

    @property
    def is_full(self) -> bool:
        """Whether `create` would be refused for want of room; a store that cannot tell says no."""

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key and return its etag. Raises Conflict if it exists, Unavailable if the outcome is not known."""

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag` and return the new etag. Raises Conflict (also if the key is gone) or Unavailable."""

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None if it was never stored or its time to live is over. Raises Unavailable."""

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at a function. `app` is a configured name, `path` starts with `/`; `timeout` covers the whole exchange."""

    app: str
    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Functions(Protocol):
    """The functions behind HTTP targets."""

    async def call(self, call: Call) -> Answer:
        """Any answer, whatever its status; redirects are not followed. Raises CallFailed."""


class Secrets(Protocol):
    """Secrets by name."""

    async def get(self, name: str) -> str:
        """The secret's value. Raises Unavailable."""


class Clock(Protocol):
    """Time, passed in so that tests decide it."""

    def now(self) -> datetime:
        """The time, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
