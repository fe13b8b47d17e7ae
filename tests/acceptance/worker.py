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

from tests.acceptance.results import failure_of, result_of
from tests.acceptance.runtimes import Bus
from tests.dapr import servicebus
from tests.dapr.streams import Refused

#: The way onto the bus is away with the bridge, or with what stands for it.
AWAY = (
    OSError,
    TimeoutError,
    ValueError,
    AssertionError,
    asyncio.IncompleteReadError,
    aiohttp.ClientError,
    RedisError,
    Refused,
    *servicebus.AWAY,
)
Way = Callable[[], AbstractAsyncContextManager[Bus]]


@dataclass
class Worker:
    """What it did, by invocation id. A message whose completion was lost with the bridge comes again: it is answered, not done again."""

    way: Way
    entity: str
    effects: Counter[str] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the number of the message
    fails_first: bool = False  #: the first attempt of each invocation fails and may be tried again

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                async with self.way() as bus:
                    while True:
                        await self._one(bus)
            await asyncio.sleep(0.05)

    async def _one(self, bus: Bus) -> None:
        work, number, complete = await bus.peek_lock(self.entity)
        if number not in self.answers:
            self.effects[work["id"]] += 1
            fails = self.fails_first and self.effects[work["id"]] == 1
            self.answers[number] = failure_of(work) if fails else result_of(work)
        await bus.send_event("automation-results", self.answers[number])
        await complete()  # not before: a result that is lost with the way onto the bus is sent again


@asynccontextmanager
async def working(way: Way, entity: str, *, fails_first: bool = False) -> AsyncIterator[Worker]:
    worker = Worker(way, entity, fails_first=fails_first)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        # `asyncio.wait_for` of Python 3.11 may swallow a cancel that comes as its answer does, so it is said until it is heard.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.5)
