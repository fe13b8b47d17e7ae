"""Keeps one program running: starts it, starts it again with growing pauses when it ends, and stops it at the end."""

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
_SAID = 16_384  #: bytes that are read of what a program said last


@dataclass(frozen=True, slots=True)
class Ended:
    """An end that nobody asked for."""

    code: int  #: the exit code, or minus the signal
    times: int  #: how many ends in a row, this one included, came before the program had kept running for `STEADY` seconds
    pause: float  #: seconds before the next start
    said: str  #: what the program wrote to its log, the last of it


class Supervisor:
    """One program in a session of its own, so that Ctrl-C reaches it only through here; its output goes to a log file of mode 0600.

    `ended` hears of every unasked end. `environment` takes the place of this process's own. Variables named in `only_first` are not
    there for the programs after the first.
    """

    def __init__(  # noqa: PLR0913 - each says how one program is kept
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
        self._later = {name: value for name, value in self._environment.items() if name not in only_first}
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
            self._ended(Ended(code, times, pause, self._said()))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            process = await self._start(self._later)

    async def _start(self, environment: dict[str, str]) -> Process:
        with _opened(self._log) as log:
            self._written = os.fstat(log.fileno()).st_size
            return await asyncio.create_subprocess_exec(
                *self._command, stdin=DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def _said(self) -> str:
        """The last of what the program wrote; a log that has become shorter was begun anew by it."""
        try:
            with self._log.open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                since = self._written if self._written <= size else 0
                log.seek(max(since, size - _SAID))
                return log.read(_SAID).decode(errors="replace")
        except OSError:
            return ""


def _opened(log: Path) -> BinaryIO:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


async def _stop(process: Process) -> None:
    """End the program and whatever it left behind in its group."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
