"""A whole bridge on ports in memory, in virtual time: many requests at once, with a bus that delivers by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.app import Bridge, assemble
from bridge.plans import read_plans
from bridge.ports import Ack, Delivery, Handler, Message
from bridge.settings import Settings
from bridge.testing import MemoryRuntime, MemoryStore
from tests.hammer.virtualtime import FaultyFunctions, VirtualClock

_AGAIN = 0.1  #: seconds until a message is delivered again


class DeliveringBus:
    """Implements `ports.Bus`: each message is delivered when it is due, whatever else is in hand."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self._handlers, self._tasks = clock, dict[str, Handler](), set[asyncio.Task[None]]()

    async def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            until = message.deliver_at - self._clock.now() if message.deliver_at else None
            asyncio.get_running_loop().call_later(max(until.total_seconds(), 0) if until else 0, self._deliver, message, 1)

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:  # noqa: ARG002 - the signature of the port
        self._handlers[source] = handler

    def _deliver(self, message: Message, attempt: int) -> None:
        for source, handler in self._handlers.items():
            if source.partition("/")[0] == message.topic:
                task = asyncio.create_task(self._handled(handler, Delivery(source, message, attempt, self._clock.now())))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _handled(self, handler: Handler, delivery: Delivery) -> None:
        if await handler(delivery) is not Ack.DONE:
            asyncio.get_running_loop().call_later(_AGAIN, self._deliver, delivery.message, delivery.attempt + 1)


async def started(settings: Settings, functions: FaultyFunctions) -> Bridge:
    """A bridge by these settings that calls these functions."""
    clock = VirtualClock()
    bus, store = DeliveringBus(clock), MemoryStore(clock)
    bridge = assemble(settings, read_plans(settings), MemoryRuntime(bus, store, functions), clock)
    for source, handler in bridge.pipeline.subscriptions().items():
        await bus.subscribe(source, handler, concurrency=256)
    return bridge
