"""The ports of the bridge: small interfaces to the outside world that every supported bus and store can implement.

They assume no transactions across keys, no listing of keys, no ordering, and no exactly-once delivery. Adapters raise `errors.PortError`
(for `Functions` also `errors.CallFailed`) and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from bridge.cloudevents import Event, amqpbinding


@dataclass(frozen=True, slots=True)
class Message:
    """One event on its way to a topic, with the broker properties that subscriptions may filter on.

    `delay` is the time until `deliver_at`, for a bus in the same process, because the clock may be set in between.
    `event` is the parsed `body`, as long as the message has not left the process. A message from a broker has none.
    """

    topic: str
    body: bytes
    message_id: str = ""
    correlation_id: str = ""
    label: str = ""
    content_type: str = "application/cloudevents+json"
    deliver_at: datetime | None = None
    delay: timedelta | None = None
    time_to_live: timedelta | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    event: Event | None = field(default=None, compare=False, repr=False)

    def read_event(self) -> Event:
        """The event in the message. Raises Malformed."""
        return self.event or amqpbinding.decode(self.content_type, self.properties, self.body)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message. `attempt` counts deliveries from 1; a bus that cannot count always says 1."""

    source: str
    message: Message
    attempt: int = 1
    enqueued_at: datetime | None = None


class Ack(StrEnum):
    """The answer of a handler. DONE completes the message; RETRY abandons it, and it is delivered again after a growing pause."""

    DONE = "done"
    RETRY = "retry"


Handler = Callable[[Delivery], Awaitable[Ack]]


class Bus(Protocol):
    """Publishes messages and delivers them to handlers, at least once and in any order."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store every message durably before returning.

        Raises Full or Unavailable (some may have been stored) and Undeliverable (unknown topic, message too large).
        """

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Deliver every message of `source` ("topic/subscription" or a queue's name) to `handler`, `concurrency` at a time."""


class Stored(NamedTuple):
    """A value and the etag of its version in the store."""

    value: bytes
    etag: str


class Store(Protocol):
    """Keys with values and etags. Every write names the version that it replaces, or that there is none (first write wins)."""

    @property
    def shared(self) -> bool:
        """Whether other processes write the same keys. If not, the store holds what this process wrote last."""

    @property
    def is_full(self) -> bool:
        """Whether `create` would be refused for lack of space. A store that cannot tell returns False."""

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key and return its etag. Raises Conflict if it exists, Unavailable if the outcome is not known."""

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag` and return the new etag. Raises Conflict if it is not current or the key is gone, Unavailable."""

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None if it was never stored or its time to live is over. Raises Unavailable."""

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`. Raises Unavailable."""


class Write(NamedTuple):
    """One write to a store. `etag` names the version that it replaces; an empty one creates the key."""

    key: str
    value: bytes
    etag: str
    ttl: timedelta | None


class Outbox(Protocol):
    """One transaction for state and messages, where a runtime offers that (the transactional outbox pattern)."""

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        """Make the write, publish the messages and return the new etag: all of it, or nothing.

        `obsolete` names scheduled messages, each by topic and message id, that need not be delivered any more. One that is not found is
        delivered after all. Raises Conflict, Full, Undeliverable or Unavailable.
        """


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call of a function. `app` is a configured name, `path` starts with `/`, `timeout` covers the whole exchange.

    `origin` is set to call a place other than the app's own, without the app's key. `template` is the path of the target as the catalogue
    has it, with names in place of values from the input. It is used only for telemetry.
    """

    app: str
    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    timeout: timedelta
    origin: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True)
class FunctionResponse:
    """The answer of a function. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Functions(Protocol):
    """The functions behind HTTP targets."""

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Call a function once and return its answer, whatever its status. Redirects are not followed. Raises CallFailed."""

    def starting(self, app: str, /) -> bool:
        """Whether the app is being started on this machine, which may take minutes, so that a call should wait."""

    def unserved(self, app: str, method: str, path: str, /) -> str:
        """Why no function answers at a path of an app; empty if one may, or if it is not known. `{name}` in `path` stands for any text."""


class Clock(Protocol):
    """The time, passed in so that tests can set it.

    The wall clock may be set at any moment. So waiting within one process is measured with `steady`, and ends neither early nor late.
    """

    def now(self) -> datetime:
        """The wall clock, in UTC: for what people and other programs compare with their own clocks."""

    def steady(self) -> datetime:
        """The wall clock at the start of the process plus the time that has passed since, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""


Keep = Callable[[Message, str], Awaitable[None]]
"""Stores a message as a dead letter, with the reason for which the bus refused it after it had accepted it. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message in the dead-letter sub-queue of `entity`, which is a queue or "topic/subscription".

    `message` has the application properties as text, and in `topic` where a copy of it is sent. `number` is the sequence number there.
    `reaches` are the subscriptions that store such a copy, as far as their rules are known; none if it goes to a queue.
    `native` is what the adapter needs to settle the message and to send a copy of it.
    """

    entity: str
    number: int
    message: Message
    reason: str
    description: str
    deliveries: int
    enqueued_at: datetime
    locked_until: datetime | None = None
    reaches: tuple[str, ...] = ()
    native: object = field(default=None, compare=False, repr=False)


class SubQueueHead(Protocol):
    """The head of one dead-letter sub-queue, whose messages are locked in their order."""

    async def lock(self, most: int) -> Sequence[ParkedMessage]:
        """Lock the next messages, at most `most`; none if no more arrive within a moment. Raises Unavailable."""

    async def complete(self, messages: Sequence[ParkedMessage]) -> Sequence[ParkedMessage]:
        """Remove locked messages. Returns those that are still there, because their locks have expired. Raises Unavailable."""

    async def abandon(self, messages: Sequence[ParkedMessage]) -> None:
        """Release locked messages. One whose lock has expired is released already."""


class DeadLetterQueues(Protocol):
    """The dead-letter sub-queues of a broker. Every method may raise Unavailable, and Undeliverable for an entity that does not exist."""

    @property
    def entities(self) -> Sequence[str]:
        """The queues and subscriptions ("topic/subscription") that may have dead letters."""

    async def peek(self, entity: str, number: int, most: int) -> Sequence[ParkedMessage]:
        """Messages from a sequence number on, in this order, at most `most`. Nothing is locked, and no delivery is counted."""

    def head(self, entity: str) -> AbstractAsyncContextManager[SubQueueHead]:
        """Open the head of the queue. Messages that are locked but not settled when it closes are delivered again."""

    async def send(self, copies: Sequence[tuple[ParkedMessage, Message]]) -> None:
        """Send a copy of each message, durably. Fields of `Message` are taken from there, everything else from the parked message.

        Raises Undeliverable for a copy that the broker permanently refuses; others may have been sent then.
        """

    def reaches(self, message: Message) -> Sequence[str]:
        """The subscriptions that store a message that the bridge publishes, as `ParkedMessage.reaches`."""


class Runtime(Protocol):
    """The runtime that the bridge runs on: bus, store and function calls, and their health."""

    @property
    def bus(self) -> Bus:
        """The bus that carries the events."""

    @property
    def store(self) -> Store:
        """The store that holds the records."""

    @property
    def functions(self) -> Functions:
        """The functions behind HTTP targets."""

    @property
    def signing_key(self) -> bytes:
        """The key for signing events that the bridge has checked."""

    @property
    def replica(self) -> str:
        """The name of this process in the index: no two that run at the same time have the same one."""

    @property
    def outbox(self) -> Outbox | None:
        """The outbox; None if state and messages cannot share a transaction."""

    @property
    def dead_letter_queues(self) -> DeadLetterQueues | None:
        """The dead-letter sub-queues of the bus; None if the runtime cannot reach them."""

    def trouble(self) -> Mapping[str, str]:
        """The problem of each component, by its name; an empty text if there is none."""

    def dead_letter_to(self, keep: Keep) -> None:
        """Pass to `keep` each message that the bus accepted but permanently refuses later: when it is due, or for its functions."""

    async def start(self, handlers: Mapping[str, Handler], concurrency: int, waiting: Callable[[str], None]) -> None:
        """Subscribe the handlers, and return once the bus delivers to them. Calls `waiting` with the name of what is still missing.

        Raises ConfigurationError, Unavailable.
        """

    async def close(self, patience: float) -> None:
        """Accept no more deliveries, wait up to `patience` seconds for handlers and cancel the rest. Their messages stay on the bus."""


@dataclass(frozen=True, slots=True)
class ReceivedReply:
    """A reply, as the JSON of its event, and how many seconds after the requests were sent it arrived."""

    event: Mapping[str, Any]
    seconds: float


class Requester(Protocol):
    """Publishes on a bus like an application that requests automations."""

    async def ask(self, asked: Mapping[str, Mapping[str, Any]], seconds: float) -> Mapping[str, ReceivedReply]:
        """Publish events, by their correlation ids, and return the replies that arrived within `seconds`. Returns early if all did.

        Raises PortError.
        """
