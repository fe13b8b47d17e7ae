"""dramatiq on Redis: two processes with eight threads each, results by its own blocking pop. `worker` or `client`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from redis import Redis

from tests.benchmarks.load import LONGEST, Request, serve
from tests.benchmarks.payload import PAYLOAD
from tests.benchmarks.peers.function import function

URL = os.environ["BENCH_REDIS"]
THREADS = 64  #: as many as there are requests in flight: its results are waited for in threads

broker = RedisBroker(url=URL)
# Without a limit for the socket: its blocking pop ends by its own time, and the client of Redis would give up after 5 s.
broker.add_middleware(Results(backend=RedisBackend(client=Redis.from_url(URL, socket_timeout=None))))
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="echo", store_results=True)
def echo(value: Any) -> Any:
    """What the function gives."""
    return function(value)


def ask() -> None:
    """One request, from send to result."""
    if echo.send(PAYLOAD).get_result(block=True, timeout=int(LONGEST * 1000)) != PAYLOAD:
        raise ValueError("the echo differs")


@asynccontextmanager
async def client() -> AsyncIterator[Request]:
    """Threads that send and wait."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(THREADS) as threads:

        async def request() -> None:
            await loop.run_in_executor(threads, ask)

        yield request


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        # Its own command starts its processes; this module is what they import.
        command = ["tests.benchmarks.peers.dramatiq", "--processes", "2", "--threads", "8"]
        os.execv(sys.executable, [sys.executable, "-m", "dramatiq", *command])  # noqa: S606 - no input in it
    serve(client())
