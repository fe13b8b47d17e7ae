"""Keeps one program running: it is started again, after growing pauses, whenever it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

FIRST_PAUSE = 0.5  #: seconds before the first new start; doubled each time
LONGEST_PAUSE = 60.0  #: seconds
STEADY = 30.0  #: seconds after which a program counts as having started well
GRACE = 15.0  #: seconds between SIGTERM and SIGKILL
_LAST_OUTPUT = 16_384  #: bytes that are read from the end of a program's log


@dataclass(frozen=True, slots=True)
class Ended:
    """An end of the program that the supervisor did not ask for."""

    code: int  #: the exit code, or minus the signal
    times: int  #: the number of ends in a row, with this one, before which the program ran for less than `STEADY` seconds
    pause: float  #: seconds before the next start
    output: str  #: the last of what the program wrote to its log


class Supervisor:
    """One program in a session of its own, so that Ctrl-C does not reach it. Its output goes to a log file of mode 0600.

    `ended` is called for each end that the supervisor did not ask for. `environment` takes the place of this process's environment.
    Variables named in `only_first` are removed from it when the program is started again.
    """

    def __init__(  # noqa: PLR0913 - each says how one program is run
        self,
        command: Sequence[str],
        *,
        log: Path,
        ended: Callable[[Ended], None],
        only_first: Container[str] = (),
        environment: Mapping[str, str] | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._command, self._log, self._ended, self._first_pause = command, log, ended, first_pause
        self._environment = dict(os.environ if environment is None else environment)
        self._again = {name: value for name, value in self._environment.items() if name not in only_first}
        self._written = 0  #: bytes that the log had when the program started
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_running(await self._start(self._environment)))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_running(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        pause, times = self._first_pause, 0
        while True:
            started = loop.time()
            try:
                code = await process.wait()
            finally:
                await _stop(process)
            if loop.time() - started > STEADY:
                pause, times = self._first_pause, 0
            times += 1
            self._ended(Ended(code, times, pause, self._last_output()))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            process = await self._start(self._again)

    async def _start(self, environment: dict[str, str]) -> Process:
        with _opened(self._log) as log:
            self._written = os.fstat(log.fileno()).st_size
            return await asyncio.create_subprocess_exec(
                *self._command, stdin=DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def _last_output(self) -> str:
        """The last of what the program wrote. A log that is shorter than at the start was begun anew by the program."""
        try:
            with self._log.open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                since = self._written if self._written <= size else 0
                log.seek(max(since, size - _LAST_OUTPUT))
                return log.read(_LAST_OUTPUT).decode(errors="replace")
        except OSError:
            return ""


def _opened(log: Path) -> BinaryIO:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


async def _stop(process: Process) -> None:
    """End the program and every process that it left behind in its process group."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
