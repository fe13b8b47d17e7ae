"""taskiq on Redis streams: uvloop, hiredis, orjson, one worker process with 64 tasks at a time. `worker` or `client`."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
from taskiq import TaskiqEvents, TaskiqState
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from tests.benchmarks.load import Request, serve
from tests.benchmarks.payload import PAYLOAD
from tests.benchmarks.peers.function import Function
from tests.benchmarks.peers.reader import Reader

URL = os.environ["BENCH_REDIS"]
KEEP = 600  #: seconds

broker = (
    RedisStreamBroker(URL)
    .with_serializer(ORJSONSerializer())
    .with_result_backend(RedisAsyncResultBackend(URL, result_ex_time=KEEP, serializer=ORJSONSerializer()))
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    """Open what calls the function."""
    state.stack = AsyncExitStack()
    state.function = await state.stack.enter_async_context(Function.opened())


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    """Close it."""
    await state.stack.aclose()


@broker.task(task_name="echo")
async def echo(value: Any) -> Any:
    """What the function gives."""
    return await broker.state.function(value)


@asynccontextmanager
async def client() -> AsyncIterator[Request]:
    """A result's key is the task's id."""

    def echoed(record: bytes) -> bool:
        result: dict[str, Any] = orjson.loads(record)
        if result["is_err"] or result["return_value"] != PAYLOAD:
            raise ValueError(f"the task ended otherwise: {result}")
        return True

    await broker.startup()
    async with Reader.open(URL, echoed) as reader:

        async def request() -> None:
            task = await echo.kiq(PAYLOAD)
            await reader.result(task.task_id)

        yield request
    await broker.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        # Its own command starts its processes; this module is what they import.
        command = ["worker", "tests.benchmarks.peers.taskiq:broker", "--workers", "1", "--max-async-tasks", "64", "--log-level", "WARNING"]
        os.execv(sys.executable, [sys.executable, "-m", "taskiq", *command])  # noqa: S606 - no input in it
    serve(client())
