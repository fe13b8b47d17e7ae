"""Keeps one worker running: starts it again when it ends, later each time it keeps ending."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from bridge.local.functions.appworker import AppWorker
from bridge.local.functions.crashpoints import WORKER_VARIABLE
from bridge.local.functions.worker import AppLoadFailed, InvocationResponse, Json, OnLog, Worker, WorkerHello, WorkerLost, WorkerProgram

log = logging.getLogger("bridge.functions")

_FIRST_PAUSE = 0.25  #: seconds before the second start in a row
_LONGEST_PAUSE = 10.0
_STEADY = 60.0  #: seconds after which a worker counts as one that keeps running
_STOP_SECONDS = 2.0  #: how long a worker may take to end by itself


class WorkerDown(Exception):
    """No worker is running at the moment; nothing was started."""


class TimedOut(Exception):
    """The function ran longer than functionTimeout; it was stopped, or its worker was killed."""

    def __init__(self, answer: InvocationResponse | None = None) -> None:
        """`answer` is what a function said that was stopped; None if its worker was killed."""
        self.answer = answer
        super().__init__()


class WorkerSupervisor:
    """Holds the worker of one app, and puts a new one in its place when it ends."""

    def __init__(self, app: str, program: WorkerProgram, on_log: OnLog, *, first_pause: float = _FIRST_PAUSE) -> None:
        self._app = app
        self._program = program
        self._on_log = on_log
        self._first_pause = first_pause
        self._up = asyncio.Event()
        self._worker: AppWorker | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopped: set[str] = set()  #: invocations that were asked to stop, because their time was over

    async def start(self) -> WorkerHello:
        """Start the first worker. Raises AppLoadFailed."""
        worker, hello = await self._started()
        lasting = {name: value for name, value in self._program.environment.items() if name != WORKER_VARIABLE}
        self._program = replace(self._program, environment=lasting)
        self._keeping = asyncio.create_task(self._keep(worker))
        self._use(worker)
        return hello

    async def _started(self) -> tuple[AppWorker, WorkerHello]:
        start = self._program.start or Worker.start
        return await start(self._program, self._on_log)

    @property
    def is_up(self) -> bool:
        """Whether a worker is running."""
        return self._up.is_set()

    async def up(self) -> None:
        """Wait until a worker is running."""
        await self._up.wait()

    async def invoke(self, order: Json, seconds: float | None) -> InvocationResponse:
        """Run one function for at most `seconds`. Raises WorkerDown, WorkerLost or TimedOut."""
        worker = self._worker
        if worker is None:
            raise WorkerDown
        response = worker.invoke(order)
        if seconds is None:
            return await response
        end = self._stop_late if self.can_stop else self._end_late
        timer = asyncio.get_running_loop().call_later(seconds, end, worker, response, order["id"])  # costs less than `asyncio.timeout`
        try:
            answer = await response
        finally:
            timer.cancel()
        if order["id"] in self._stopped:
            self._stopped.discard(order["id"])
            if not answer.ok:
                raise TimedOut(answer)
        return answer

    async def stop(self) -> None:
        """End the worker and do not start another."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        worker = self._worker
        if worker is None:
            return
        self._lost(worker)
        worker.close()
        await asyncio.wait([worker.ended], timeout=_STOP_SECONDS)
        worker.kill()

    @property
    def can_stop(self) -> bool:
        """Whether a function can be stopped without its worker."""
        return self._program.over_socket or self._program.cancels

    def stop_function(self, invocation: str) -> None:
        """Stop a function before its time is over. It is answered as failed, or its worker is killed with a TimedOut."""
        worker = self._worker
        response = worker.unanswered(invocation) if worker is not None else None
        if worker is not None and response is not None:
            worker.stop(invocation)
            asyncio.get_running_loop().call_later(_STOP_SECONDS, self._end_late, worker, response, invocation)

    def _stop_late(self, worker: AppWorker, response: asyncio.Future[InvocationResponse], invocation: str) -> None:
        """Stop a function that runs too long; one that cannot be stopped takes its worker with it."""
        if not response.done():
            self._stopped.add(invocation)
            worker.stop(invocation)
            asyncio.get_running_loop().call_later(_STOP_SECONDS, self._end_late, worker, response, invocation)

    def _end_late(self, worker: AppWorker, response: asyncio.Future[InvocationResponse], invocation: str) -> None:
        """End the worker of a function that runs too long and cannot be stopped."""
        self._stopped.discard(invocation)
        if not response.done():
            response.set_exception(TimedOut())
            self._lost(worker)
            worker.kill()

    def _use(self, worker: AppWorker) -> None:
        self._worker = worker
        self._up.set()

    def _lost(self, worker: AppWorker) -> None:
        if self._worker is worker:
            self._worker = None
            self._up.clear()

    async def _keep(self, worker: AppWorker) -> None:
        pause = 0.0
        while True:
            started = time.monotonic()
            await asyncio.shield(worker.ended)  # whoever cancels this still has to wait for the worker
            self._lost(worker)
            if time.monotonic() - started > _STEADY:
                pause = 0.0
            log.warning("%s: the worker ended; starting another%s.", self._app, f" in {pause:g} s" if pause else "")
            worker, pause = await self._again(pause)
            self._use(worker)
            log.info("%s: a worker is running again (process %d).", self._app, worker.pid)

    async def _again(self, pause: float) -> tuple[AppWorker, float]:
        """Start a worker, however often that fails; returns it with the pause to make before the next one."""
        last_failure = ""
        while True:
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, self._first_pause), _LONGEST_PAUSE)
            try:
                worker, _ = await self._started()
            except (AppLoadFailed, OSError) as failure:
                level = logging.DEBUG if str(failure) == last_failure else logging.ERROR
                last_failure = str(failure)
                log.log(level, "%s: the worker did not start: %s Next try in %g s, then less and less often.", self._app, failure, pause)
            else:
                return worker, pause


__all__ = ["TimedOut", "WorkerDown", "WorkerLost", "WorkerSupervisor"]
