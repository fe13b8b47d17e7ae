"""Keeps one worker running: starts it again when it ends, later each time it keeps ending."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from bridge.local.functions.crashpoints import WORKER_VARIABLE
from bridge.local.functions.worker import Done, Hello, Json, LoadFailed, OnLog, Program, Worker, WorkerLost

log = logging.getLogger("bridge.functions")

_FIRST_PAUSE = 0.25  #: seconds before the second start in a row
_LONGEST_PAUSE = 10.0
_STEADY = 60.0  #: seconds after which a worker counts as one that keeps running
_STOP_SECONDS = 2.0  #: how long a worker may take to end by itself


class WorkerDown(Exception):
    """No worker is running at the moment; nothing was started."""


class TimedOut(Exception):
    """The function ran longer than functionTimeout; its worker was killed."""


class Supervisor:
    """The worker of one app, whichever process it is."""

    def __init__(self, app: str, program: Program, on_log: OnLog, *, first_pause: float = _FIRST_PAUSE) -> None:
        self._app = app
        self._program = program
        self._on_log = on_log
        self._first_pause = first_pause
        self._up = asyncio.Event()
        self._worker: Worker | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> Hello:
        """Start the first worker. Raises LoadFailed."""
        worker, hello = await Worker.start(self._program, self._on_log)
        lasting = {name: value for name, value in self._program.environment.items() if name != WORKER_VARIABLE}
        self._program = replace(self._program, environment=lasting)
        self._keeping = asyncio.create_task(self._keep(worker))
        self._have(worker)
        return hello

    async def up(self) -> None:
        """Wait until a worker is running."""
        await self._up.wait()

    async def invoke(self, order: Json, seconds: float | None) -> Done:
        """Run one function for at most `seconds`. Raises WorkerDown, WorkerLost or TimedOut."""
        worker = self._worker
        if worker is None:
            raise WorkerDown
        try:
            async with asyncio.timeout(seconds) as limit:
                return await worker.invoke(order)
        except TimeoutError:
            if not limit.expired():
                raise
            self._lost(worker)
            worker.kill()
            raise TimedOut from None

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

    def _have(self, worker: Worker) -> None:
        self._worker = worker
        self._up.set()

    def _lost(self, worker: Worker) -> None:
        if self._worker is worker:
            self._worker = None
            self._up.clear()

    async def _keep(self, worker: Worker) -> None:
        pause = 0.0
        while True:
            started = time.monotonic()
            await worker.ended
            self._lost(worker)
            if time.monotonic() - started > _STEADY:
                pause = 0.0
            log.warning("%s: the worker ended; starting another%s.", self._app, f" in {pause:g} s" if pause else "")
            worker, pause = await self._again(pause)
            self._have(worker)
            log.info("%s: a worker is running again (process %d).", self._app, worker.pid)

    async def _again(self, pause: float) -> tuple[Worker, float]:
        """Start a worker, however often that fails; returns it with the pause to make before the next one."""
        said = ""
        while True:
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, self._first_pause), _LONGEST_PAUSE)
            try:
                worker, _ = await Worker.start(self._program, self._on_log)
            except (LoadFailed, OSError) as failure:
                level = logging.DEBUG if str(failure) == said else logging.ERROR
                said = str(failure)
                log.log(level, "%s: the worker did not start: %s Next try in %g s, then less and less often.", self._app, failure, pause)
            else:
                return worker, pause


__all__ = ["Supervisor", "TimedOut", "WorkerDown", "WorkerLost"]
