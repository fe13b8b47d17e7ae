"""A program behind a topic: takes work from the bus, counts it, and answers; it outlives the bridge's restarts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from tests.acceptance.runtimes import Bus
from tests.dapr.streams import Refused

#: The way onto the bus is away with the bridge, or with what stands for it.
AWAY = (OSError, TimeoutError, ValueError, AssertionError, asyncio.IncompleteReadError, aiohttp.ClientError, RedisError, Refused)
Way = Callable[[], AbstractAsyncContextManager[Bus]]


@dataclass
class Worker:
    """What it did, by invocation id. A message whose completion was lost with the bridge comes again: it is answered, not done again."""

    way: Way
    entity: str
    effects: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                async with self.way() as bus:
                    while True:
                        await self._one(bus)
            await asyncio.sleep(0.05)

    async def _one(self, bus: Bus) -> None:
        work, number = await bus.receive(self.entity)
        self.effects[work["id"]] += number not in self.known
        self.known.add(number)
        await bus.send_event("automation-results", result_of(work))


def result_of(work: dict[str, Any]) -> dict[str, Any]:
    """The `automation.result` event of a function that succeeded and gives its input back."""
    return {
        "specversion": "1.0",
        "id": f"result-of-{work['id']}",
        "source": "/worker",
        "type": "automation.result",
        "correlationid": work["correlationid"],
        "causationid": work["id"],
        "invocationtoken": work["invocationtoken"],
        "data": {"status": "succeeded", "output": work.get("data")},
    }


@asynccontextmanager
async def working(way: Way, entity: str) -> AsyncIterator[Worker]:
    worker = Worker(way, entity)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
