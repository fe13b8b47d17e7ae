"""The queue door where another bus carries the events: work for the local functions host waits in a queue here, what it sends goes there.

The queue gives locks, filters, redelivery and dead letters as ever. A message is acknowledged to the other bus once it is stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from bridge import envelope
from bridge.adapters.embedded import entry
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.door import Door
from bridge.adapters.embedded.queue import Queue
from bridge.adapters.embedded.receiver import Lock, Receiver
from bridge.entities import Entities
from bridge.errors import PortError, Refusal
from bridge.ports import Ack, Bus, Delivery, Handler, Message


class Relay:
    """Takes the deliveries of another bus for a functions host."""

    def __init__(self, queue: Queue, bus: Bus) -> None:
        self._queue, self._bus = queue, bus

    @classmethod
    @asynccontextmanager
    async def open(cls, data_dir: Path, entities: Entities, bus: Bus, *, queue_limit: int, max_message: int) -> AsyncIterator[Self]:
        """Open `data_dir`/relay/bridge.db and the queue door. Raises ConfigurationError as the embedded runtime does."""
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(Database.open(data_dir / "relay", entry.SCHEMA))
            queue = Queue(database, entities, queue_limit=queue_limit, max_message=max_message)
            stack.push_async_callback(queue.close)
            await queue.start()
            relay = cls(queue, bus)
            await stack.enter_async_context(Door.open(relay, data_dir, port=0, max_message=max_message))
            yield relay

    async def take(self, delivery: Delivery) -> Ack:
        """A handler for the topics that functions listen to."""
        try:
            await self._queue.publish([_labelled(delivery.message)])
        except PortError:
            return Ack.RETRY
        return Ack.DONE

    async def dead_letters(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Hand what functions gave up to `handler`; `source` is the queue that dead letters are forwarded to."""
        await self._queue.subscribe(source, handler, concurrency=concurrency)

    def receive(self, source: str, push: Callable[[Lock], None]) -> Receiver:
        """A consumer with credit and locks. Raises Undeliverable if there is no such queue or subscription."""
        return self._queue.receive(source, push)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send what functions send over the other bus. Raises what that raises."""
        await self._bus.publish(messages)


def _labelled(message: Message) -> Message:
    """With the label that filters look at; not every bus brings it, and it is the event's subject (DESIGN 3.1)."""
    if message.label:
        return message
    try:
        return replace(message, label=envelope.decode(message.body).get("subject"))
    except Refusal:
        return message
