"""A program behind a topic: takes work from the embedded bus, counts it, and answers; it outlives the bridge's restarts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.queue_client import Queue, queue


@dataclass
class Worker:
    """What it did, by invocation id. A message whose completion was lost with the bridge comes again: it is answered, not done again."""

    data_dir: Path
    entity: str
    effects: Counter[str] = field(default_factory=Counter)
    known: set[int] = field(default_factory=set)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, ValueError, AssertionError, asyncio.IncompleteReadError):
                async with queue(self.data_dir) as bus:
                    while True:
                        await self._one(bus)
            await asyncio.sleep(0.05)

    async def _one(self, bus: Queue) -> None:
        work, line = await bus.receive(self.entity)
        number = line["properties"]["sequenceNumber"]
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
async def working(data_dir: Path, entity: str) -> AsyncIterator[Worker]:
    worker = Worker(data_dir, entity)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
