"""A bus in memory, which delivers when the test says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bridge.errors import PortError, Undeliverable
from bridge.ports import Ack, Delivery, Handler, Message
from bridge.testing.clock import FakeClock


@dataclass(frozen=True, slots=True)
class _Waiting:
    delivery: Delivery
    due: datetime


class MemoryBus:
    """Implements `ports.Bus`. Messages wait until `deliver` is called. `published` has all messages in their order.

    Each handler that subscribed to "topic/subscription" gets its own copy of the topic's messages. Messages to a queue go to its handler.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.published: list[Message] = []
        self.unknown_topics: set[str] = set()  #: topics that `publish` refuses for good
        self.largest: int | None = None  #: bytes of a body; `publish` refuses more for good
        self._clock = clock
        self._handlers: dict[str, Handler] = {}
        self._waiting: list[_Waiting] = []
        self._faults: list[PortError] = []

    def fail(self, error: PortError) -> None:
        """Let the next publish raise `error` and store nothing."""
        self._faults.append(error)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store the messages. Raises Undeliverable for a topic among `unknown_topics` and over `largest`, and the error given to `fail`."""
        self.check(messages)
        now, steady = self._clock.now(), self._clock.steady()
        self.published += messages
        waits = [each.deliver_at - now if each.deliver_at else timedelta(0) for each in messages]
        delivered = [Delivery(each.topic, each, enqueued_at=now) for each in messages]
        self._waiting += [_Waiting(delivery, steady + wait) for delivery, wait in zip(delivered, waits, strict=True)]

    def check(self, messages: Sequence[Message]) -> None:
        """Raise the error that `publish` would raise for these messages, if any."""
        if self._faults and messages:
            raise self._faults.pop(0)
        for message in messages:
            if message.topic in self.unknown_topics:
                raise Undeliverable(f"There is no topic {message.topic!r}.")
            if self.largest is not None and len(message.body) > self.largest:
                raise Undeliverable(f"A message of {len(message.body)} bytes is too large.")

    def forget(self, scheduled: Sequence[tuple[str, str]]) -> None:
        """Cancel scheduled messages, each named by topic and message id."""
        named = set(scheduled)
        self._waiting = [each for each in self._waiting if (each.delivery.message.topic, each.delivery.message.message_id) not in named]

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:  # noqa: ARG002 - the port's signature
        """Let `deliver` pass the messages of `source` to `handler`, one at a time."""
        self._handlers[source] = handler

    @property
    def waiting(self) -> list[Message]:
        """The messages that have not been delivered, or will be delivered again."""
        return [each.delivery.message for each in self._waiting]

    async def deliver(self) -> int:
        """Deliver all messages that are due, also those that the handlers publish meanwhile. Returns the number of deliveries.

        A message for which the handler answers RETRY or raises is delivered again by the next call, as the next attempt.
        """
        count, back = 0, []
        while (taken := self._take()) is not None:
            for delivery in self._each_source(taken.delivery):
                count += 1
                if await _handled(self._handlers[delivery.source], delivery) is not Ack.DONE:
                    back.append(_Waiting(replace(delivery, attempt=delivery.attempt + 1), self._clock.steady()))
        self._waiting += back
        return count

    def _take(self) -> _Waiting | None:
        now = self._clock.steady()
        for place, each in enumerate(self._waiting):
            if each.due <= now and any(self._each_source(each.delivery)):
                return self._waiting.pop(place)
        return None

    def _each_source(self, delivery: Delivery) -> Iterator[Delivery]:
        if delivery.source in self._handlers:
            yield delivery
            return
        yield from (replace(delivery, source=source) for source in self._handlers if source.startswith(f"{delivery.source}/"))


async def _handled(handler: Handler, delivery: Delivery) -> Ack:
    try:
        return await handler(delivery)
    except Exception:  # noqa: BLE001 - a bus takes any exception of a handler as RETRY
        return Ack.RETRY
