"""saq on Redis: uvloop, hiredis, orjson, 32 jobs at a time. `worker` or `client`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvloop
from saq import Queue, Worker
from saq.types import Context

from tests.benchmarks.load import Request, serve
from tests.benchmarks.payload import PAYLOAD
from tests.benchmarks.peers.function import Function
from tests.benchmarks.peers.reader import Reader

URL = os.environ["BENCH_REDIS"]


def queue() -> Queue:
    return Queue.from_url(URL, name="bench", dump=orjson.dumps, load=orjson.loads)


async def echo(context: Context, *, value: Any) -> Any:
    """What the function gives."""
    return await context["function"](value)  # type: ignore[typeddict-item]


def worker() -> None:
    """Run jobs until told to stop."""

    async def run() -> None:
        async with Function.opened() as function:

            async def lend(context: Context) -> None:
                context["function"] = function  # type: ignore[typeddict-unknown-key]

            await Worker(queue(), functions=[echo], concurrency=32, startup=lend).start()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@asynccontextmanager
async def client() -> AsyncIterator[Request]:
    """A job's record holds its result, too."""

    def ended(record: bytes) -> bool:
        job: dict[str, Any] = orjson.loads(record)
        if job.get("status") in {"failed", "aborted"}:
            raise ValueError(f"the job {job['status']}: {job.get('error')}")
        return job.get("status") == "complete" and job["result"] == PAYLOAD

    jobs = queue()
    async with Reader.open(URL, ended) as reader:

        async def request() -> None:
            job = await jobs.enqueue("echo", value=PAYLOAD)
            if job is None:
                raise ValueError("the job was not enqueued")
            await reader.result(job.id)

        yield request
        await jobs.disconnect()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker()
    else:
        serve(client())
