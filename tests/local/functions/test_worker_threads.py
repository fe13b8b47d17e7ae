"""The threads that run synchronous functions in a worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bridge.local.functions.workers.pyworker.threads import WorkerLoop, serve_executor

EXECUTOR = ThreadPoolExecutor(1)
Run = Callable[..., Awaitable[Any]]


def with_threads(most: int, work: Callable[[Run], Awaitable[Any]]) -> Any:
    """What `work` returns; it is given what runs a function in one of `most` threads."""

    async def main() -> Any:
        serve_executor(EXECUTOR, most)
        loop = asyncio.get_running_loop()
        return await work(lambda func, *args: loop.run_in_executor(EXECUTOR, func, *args))

    with asyncio.Runner(loop_factory=WorkerLoop) as runner:
        return runner.run(main())


def test_functions_that_block_run_at_the_same_time() -> None:
    together = threading.Barrier(20, timeout=20)

    async def work(run: Run) -> list[int]:
        return await asyncio.gather(*(run(together.wait) for _ in range(20)))

    assert sorted(with_threads(20, work)) == list(range(20))


def test_there_are_never_more_threads_than_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def function(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001)
        with lock:
            running -= 1
        return number

    async def work(run: Run) -> list[int]:
        return await asyncio.gather(*(run(function, number) for number in range(50)))

    assert with_threads(3, work) == list(range(50))
    assert most <= 3


def test_threads_are_used_again() -> None:
    async def work(run: Run) -> set[int]:
        return {await run(threading.get_ident) for _ in range(50)}

    assert len(with_threads(10, work)) == 1


@pytest.mark.parametrize(("raised", "seen"), [(ValueError, ValueError), (SystemExit, SystemExit), (StopIteration, RuntimeError)])
def test_what_a_function_raises_arrives(raised: type[BaseException], seen: type[BaseException]) -> None:
    def function() -> None:
        raise raised

    async def work(run: Run) -> str:
        try:
            await run(function)
        except seen as error:
            return type(error).__name__
        return "nothing"

    assert with_threads(1, work) == seen.__name__


def test_a_result_that_nobody_waits_for_any_more_is_dropped() -> None:
    go = threading.Event()

    async def work(run: Run) -> Any:
        given_up = asyncio.ensure_future(run(go.wait))
        await asyncio.sleep(0)
        given_up.cancel()
        go.set()
        return await run(lambda: "the next one")

    assert with_threads(1, work) == "the next one"


def test_other_executors_work_as_always() -> None:
    async def work(_run: Run) -> str:
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    assert with_threads(1, work).startswith("asyncio_")
