"""What the host asks of a broker: messages in, verdicts and messages out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class FeedError(Exception):
    """The broker is not there, or refused."""


class BodyForm(StrEnum):
    """What the body of a message consists of, in AMQP's words: data sections or none at all, a value that is text, or anything else."""

    DATA = "data"
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReceivingClient:
    """What receives: the host name of its namespace, and what it calls itself."""

    namespace: str = ""
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A locked message. `properties` are the broker's, by their names in lowerCamelCase.

    `encoded` is the whole message as it came, in its AMQP sections, for a worker whose functions want the AMQP types.
    """

    lock: str
    body: bytes
    properties: Mapping[str, Any]
    encoded: bytes = b""
    form: BodyForm = BodyForm.DATA
    client: ReceivingClient = ReceivingClient()
    session_until: datetime | None = None  #: until when its session is locked, of an entity with sessions


@dataclass(frozen=True, slots=True)
class OutputMessage:
    """A message for a topic or queue. `invocation` is that of the function that has set it, which the message tells its receiver."""

    entity: str
    body: bytes
    content_type: str
    invocation: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is received of an entity: at most `credit` unsettled messages at a time.

    Of an entity with sessions, `sessions` are taken at a time, each with that credit; one without messages for `session_idle` seconds is
    given up for the next. 0 is for an entity without sessions.
    """

    credit: int
    sessions: int = 0
    session_idle: float = 60.0


class Settlement(StrEnum):
    """What becomes of a locked message. `RELEASE` gives it back as if it had not been delivered, `LEAVE` lets its lock run out."""

    COMPLETE = "complete"
    ABANDON = "abandon"
    RELEASE = "release"
    LEAVE = "leave"


class ActionKind(StrEnum):
    """What a function can do with a message while it runs."""

    COMPLETE = "complete"
    ABANDON = "abandon"
    DEFER = "defer"
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class MessageAction:
    """What a function does with its message itself: `properties` are set on it, with their AMQP types."""

    kind: ActionKind
    properties: Mapping[Any, Any] = field(default_factory=dict)
    reason: str | None = None  #: of a dead letter
    description: str | None = None


Deliver = Callable[[Received], None]


class HeldSession(Protocol):
    """A session that is locked by this host."""

    @property
    def until(self) -> datetime | None:
        """When the lock ends, if the broker has said so."""

    async def renew(self) -> None:
        """Lock it anew. Raises PeerError, TokenError, TimeoutError."""

    async def state(self) -> bytes:
        """What is kept for the session. Raises as `renew`."""

    async def set_state(self, state: bytes) -> None:
        """Keep it for the session. Raises as `renew`."""

    def release(self) -> None:
        """Give the session up once its messages are settled."""


class Feed(Protocol):
    """A broker. Locks that end, and connections that break, bring the message back by themselves."""

    def receive(self, entity: str, wanted: Wanted, deliver: Deliver) -> None:
        """Hand over the messages of "topic/Subscriptions/subscription" or a queue from here on."""

    def pause(self, entity: str) -> None:
        """Ask for no messages for now; a few that are on their way still come."""

    def resume(self, entity: str) -> None:
        """Ask for messages again."""

    def leave(self, entity: str) -> None:
        """Ask for no more messages, and give back what still comes; those handed over can still be settled."""

    async def settle(self, lock: str, verdict: Settlement) -> None:
        """Complete, abandon or release. Raises FeedError; the message then comes back."""

    async def act(self, lock: str, action: MessageAction) -> None:
        """Do what the function says; a `settle` that follows changes nothing. Raises FeedError."""

    def settled_as(self, lock: str) -> ActionKind | None:
        """What the function has done with its message itself, until the `settle` that follows; None if nothing that settles it."""

    def session(self, lock: str) -> HeldSession:
        """The session of a message. Raises FeedError if it has none."""

    async def renew(self, lock: str) -> datetime | None:
        """Keep the lock; returns until when, if the broker says. Raises FeedError."""

    async def send(self, messages: Sequence[OutputMessage]) -> None:
        """Store all messages before returning. Raises FeedError; some may have been stored."""
