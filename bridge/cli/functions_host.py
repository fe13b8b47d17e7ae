"""The local functions host beside a bridge: a process of its own, started again whenever it ends, and what is told of that."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.cli.screen import Screen
from bridge.local.functions import crashpoints
from bridge.local.functions.options import CANNOT_START, START_REFUSED
from bridge.local.supervisor import LONGEST_PAUSE, Ended, Supervisor
from bridge.settings import Settings

ENDED = "The functions host ended"  #: how what is told of an end begins


@asynccontextmanager
async def running(found: Settings, screen: Screen) -> AsyncIterator[None]:
    """Keep the functions host running while the block runs, if the settings ask for one."""
    if found.functions is None:
        yield
        return
    log = log_of(found)
    ended = Teller(screen, log).ended
    only_first = {crashpoints.VARIABLE, crashpoints.WORKER_VARIABLE}
    async with Supervisor(command(found, found.functions), log=log, ended=ended, only_first=only_first):
        yield


def log_of(found: Settings) -> Path:
    """Where the host and its functions log to."""
    return found.data_dir / "functions.log"


def command(found: Settings, apps: Path) -> list[str]:
    """How the local functions host is started; it ends by itself when this process is gone."""
    options: Mapping[str, object] = {
        "--apps": apps,
        "--data-dir": found.data_dir,
        "--port": found.functions_port,
        "--parent": os.getpid(),
        "--log": log_of(found),
    }
    return [sys.executable, "-m", "bridge.local.functions", *(str(word) for pair in options.items() for word in pair)]


class Teller:
    """Says why the host ended: once, however often it ends for the same reason in a row."""

    def __init__(self, screen: Screen, log: Path) -> None:
        self._screen, self._log = screen, log
        self._told = ""

    def ended(self, end: Ended) -> None:
        """Tell of one end, unless the one before it was told in the same words."""
        why = _refusal(end) or f"{ENDED} with exit code {end.code}. It starts again by itself."
        if end.times > 1 and why == self._told:
            return
        self._told = why
        self._screen.note(f"{why} See {self._log}", "yellow")


def _refusal(end: Ended) -> str:
    """What keeps the host from starting, and what to do; nothing if it did not say."""
    _, found, reasons = end.said.rpartition(CANNOT_START)
    if end.code != START_REFUSED or not found:
        return ""
    return f"{ENDED}, because it cannot start:\n{reasons.strip()}\nMend this; it is tried again every {LONGEST_PAUSE:g} s at the latest."
