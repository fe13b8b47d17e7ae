"""Celery on Redis: late acknowledgement, 16 messages prefetched, no gossip, mingle or heartbeat.

`worker threads`, `worker prefork` or `client`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery

from tests.benchmarks.load import Request, serve
from tests.benchmarks.payload import PAYLOAD
from tests.benchmarks.peers.function import function
from tests.benchmarks.peers.reader import Reader

URL = os.environ["BENCH_REDIS"]
POOLS = {
    "threads": ["--pool=threads", "--concurrency=16", "--prefetch-multiplier=1"],
    "prefork": ["--pool=prefork", "--concurrency=2", "--prefetch-multiplier=8"],
}


def echo(value: Any) -> Any:
    """What the function gives."""
    return function(value)


def worker(pool: str) -> None:
    """Run tasks until told to stop."""
    app = Celery("bench", broker=URL, backend=URL)
    app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True)
    app.task(name="echo")(echo)
    app.worker_main(["worker", *POOLS[pool], "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"])


@asynccontextmanager
async def client() -> AsyncIterator[Request]:
    """The client has no result backend: Celery's own would subscribe to a channel for each task, and the reader does without."""
    app = Celery("bench", broker=URL)

    def echoed(record: bytes) -> bool:
        task: dict[str, Any] = json.loads(record)
        if task["status"] == "SUCCESS" and task["result"] == PAYLOAD:
            return True
        raise ValueError(f"the task ended otherwise: {task}")

    async with Reader.open(URL, echoed) as reader:

        async def request() -> None:
            task = app.send_task("echo", [PAYLOAD])
            await reader.result(f"celery-task-meta-{task.id}")

        yield request


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker(sys.argv[2])
    else:
        serve(client())
