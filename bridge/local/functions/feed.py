"""What the host asks of a broker: messages in, verdicts and messages out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class FeedError(Exception):
    """The broker is not there, or refused."""


@dataclass(frozen=True, slots=True)
class Received:
    """A locked message. `properties` are the broker's, by their names in lowerCamelCase."""

    lock: str
    body: bytes
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic or queue."""

    entity: str
    body: bytes
    content_type: str


class Verdict(StrEnum):
    """What becomes of a locked message."""

    COMPLETE = "complete"
    ABANDON = "abandon"


Deliver = Callable[[Received], None]


class Feed(Protocol):
    """A broker. Locks that end, and connections that break, bring the message back by themselves."""

    def receive(self, entity: str, credit: int, deliver: Deliver) -> None:
        """Hand over the messages of "topic/subscription" or a queue, at most `credit` unsettled ones, from here on."""

    def leave(self, entity: str) -> None:
        """Ask for no more messages; those handed over can still be settled."""

    async def settle(self, lock: str, verdict: Verdict) -> None:
        """Complete or abandon. Raises FeedError; the message then comes back."""

    async def renew(self, lock: str) -> datetime | None:
        """Keep the lock; returns until when, if the broker says. Raises FeedError."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Store all messages before returning. Raises FeedError; some may have been stored."""
