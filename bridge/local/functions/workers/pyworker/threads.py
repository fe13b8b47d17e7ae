"""The event loop of a worker. Its threads for synchronous functions cost half of what `concurrent.futures` costs for each call.

Each invocation of a synchronous function goes to a thread and comes back. The standard way makes a `concurrent.futures.Future` with a lock
and wakes the event loop once for each. Here the result goes straight into an asyncio future, and results that are ready together wake the
loop once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from . import starts

_Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]
_Outcome = tuple["asyncio.Future[Any]", Any, "BaseException | None"]


def serve_executor(executor: object, threads: int) -> None:
    """Let the running loop, if it is a WorkerLoop, use up to `threads` threads of its own for what it is given for `executor`."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, WorkerLoop):
        loop.serve_executor(executor, threads)


class WorkerLoop(asyncio.SelectorEventLoop):
    """Runs in its own threads what is given to an executor that `serve_executor` named, and all else as asyncio does."""

    def __init__(self) -> None:
        super().__init__()
        self._replaced: object = None
        self._threads: FunctionThreads | None = None

    def serve_executor(self, executor: object, threads: int) -> None:
        """From here on run what is meant for `executor` in up to `threads` threads of this loop."""
        self._replaced, self._threads = executor, FunctionThreads(self, threads)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Call `func` in a thread; the future gets what it returns or raises.

        For a function of the app the deadline is checked in the thread: threads may have been busy until it was over.
        """
        if self._threads is not None and executor is self._replaced:
            return self._threads.run(starts.current().call, (func, *args))
        return super().run_in_executor(executor, func, *args)


class FunctionThreads:
    """At most `most` threads, started when they are needed; `run` is for the thread of the event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop, self._most = loop, most
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._outcomes: deque[_Outcome] = deque()
        self._delivering = False  #: whether the loop has been woken for the outcomes that are there
        self._started = self._unfinished = 0

    def run(self, func: Callable[..., Any], args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Call `func`, as soon as a thread is free."""
        outcome = self._loop.create_future()
        self._unfinished += 1
        if self._started < min(self._unfinished, self._most):
            self._started += 1
            threading.Thread(target=self._work, name=f"function-{self._started}", daemon=True).start()
        self._calls.put((outcome, func, args))
        return outcome

    def _work(self) -> None:
        while True:
            future, func, args = self._calls.get()
            result = error = None
            try:
                result = func(*args)
            except BaseException as raised:  # noqa: BLE001 - whoever awaits the future gets it
                error = raised
            self._outcomes.append((future, result, error))
            del future, func, args, result, error  # what a function was given must not live until this thread has its next call
            if not self._delivering:
                self._delivering = True
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False  # before the first look: an outcome that comes from here on wakes the loop again
        while self._outcomes:
            future, result, error = self._outcomes.popleft()
            self._unfinished -= 1
            if future.done():  # nobody waits for it any more
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(_raisable(error))


def _raisable(error: BaseException) -> BaseException:
    """The error, or what takes its place where Python cannot raise it out of a future."""
    if not isinstance(error, StopIteration):
        return error
    replaced = RuntimeError("StopIteration cannot be raised out of a function")
    replaced.__cause__ = error
    return replaced
