"""A load that goes on and on: requests at a rate, a function in a process of its own, a worker behind a topic, a reader of replies."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp

from tests.acceptance.results import result_of
from tests.benchmarks.process import free_port, listening, started
from tests.chaos import programs
from tests.chaos.door import Message, door
from tests.chaos.place import Door

MOST_UNDER_WAY = 100  #: requests; more are not begun, and counted
KINDS = ("echo", "echo", "echo", "fan.all", "echo", "echo", "topic.work", "echo", "topic.work", "fan.best-effort")
INPUT = {"text": "x" * 300, "number": 7}


@dataclass
class Load:
    """`latencies`, in ms until the run had ended, are taken by whoever samples; `missed` were not begun because too many were under way."""

    http: aiohttp.ClientSession
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    missed: int = 0
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def request(self) -> None:
        """One, to its end."""
        number, began = next(self.numbers), time.perf_counter()
        path = f"/v1/automations/{KINDS[number % len(KINDS)]}/requests"
        headers = {"X-Correlation-Id": f"soak-{number}", "Prefer": "wait=20"}
        try:
            async with self.http.post(path, json=INPUT, headers=headers) as answer:
                run = await answer.json()
            self.failed += answer.status != 200 or run["status"] != "Succeeded"
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
        self.latencies.append((time.perf_counter() - began) * 1000)

    async def burst(self, seconds: float, at_once: int) -> float:
        """Requests a second that `at_once` callers reach."""
        until, done = time.monotonic() + seconds, itertools.count()

        async def caller() -> None:
            while time.monotonic() < until:
                await self.request()
                next(done)

        await asyncio.gather(*(caller() for _ in range(at_once)))
        return next(done) / seconds

    async def steady(self, rate: float, stop: asyncio.Event) -> None:
        """`rate` requests a second until told to stop; a slow one does not hold back the next."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as under_way:
            waiting: set[asyncio.Task[None]] = set()
            for count in itertools.count():
                await asyncio.sleep(start + count / rate - time.monotonic())
                if stop.is_set():
                    return
                if len(waiting) >= MOST_UNDER_WAY:
                    self.missed += 1
                    continue
                task = under_way.create_task(self.request())
                waiting.add(task)
                task.add_done_callback(waiting.discard)


@asynccontextmanager
async def function(folder: Path) -> AsyncIterator[str]:
    """The URL of a function app that gives back what it gets."""
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning", "tests.benchmarks.bare:function")
    async with started(command, folder, "function") as child:
        await listening(port, child)
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def listeners(data_dir: Path) -> AsyncIterator[None]:
    """The worker behind the topic, and the reader of the replies."""

    async def work(client: Door, message: Message) -> None:
        await client.send_event("automation-results", result_of(json.loads(message.body)))
        await client.complete(message)

    async def read(client: Door, message: Message) -> None:
        await client.complete(message)

    served = (("work/worker", work), ("automation-replies/requesters", read))
    tasks = [asyncio.create_task(programs.serve(partial(door, data_dir), *each)) for each in served]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
