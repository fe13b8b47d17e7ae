"""Carries out `bridge hammer`: it starts the function, shows the progress, and writes the files."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.status import Status

from bridge import catalog, logs, settings
from bridge.cli import hammerview
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.errors import PortError
from bridge.hammer import chart, guard, policyfile, report, scriptedapp
from bridge.hammer.faults import Faults, FaultScript
from bridge.hammer.guard import HammerTarget
from bridge.hammer.hammering import HammerPlan, hammer
from bridge.hammer.loadtest import LoadPlan
from bridge.hammer.measurement import LoadStep, Measurement
from bridge.hammer.search import Goal
from bridge.hammer.trial import TrialPlan

_DEADLINE = timedelta(minutes=1)


@dataclass(frozen=True)
class HammerRequest:
    """The options of the command. `load`: the first and the last rate, seconds, and calls. Without a target a function is started."""

    app: str
    target: HammerTarget | None
    faults: Faults
    seed: int
    load: tuple[float, float, int, int]
    patience: float
    deadline: float | None
    share: float
    concurrency: int
    input: Any
    key_env: str | None
    files: tuple[Path, Path]


def run(request: HammerRequest, screen: Screen) -> Exit:
    """Hammer the function, show the result, and write the files. Raises ConfigurationError, OSError."""
    for file in request.files:
        _check_folder(file)
    logs.setup(level="error", form="console")  # what fails is counted here, and the bridge would log each of it
    deadline = timedelta(seconds=request.deadline) if request.deadline else _shortest_deadline(request.app)
    if screen.live:
        screen.note(hammerview.LEGEND)
    with screen.err.status("measuring") if screen.live else nullcontext() as status:
        try:
            found = asyncio.run(_hammer(request, deadline, HammerProgress(screen, status)))
        except PortError as fault:
            screen.note(f"The policy could not be tried: {fault.detail} {fault.hint}", "red")
            return Exit.FAILED
    if screen.as_json:
        screen.json(report.as_json(found))
    else:
        hammerview.tell(screen, found)
    _write(request, found, screen)
    return Exit.OK if found.good else Exit.FAILED


async def _hammer(request: HammerRequest, deadline: timedelta, progress: HammerProgress) -> report.HammerReport:
    first, last, seconds, most = request.load
    async with _target(request) as target:
        plan = HammerPlan(
            request.app,
            target,
            Goal(request.share, deadline, request.concurrency),
            LoadPlan(seconds, most, first, last),
            timedelta(seconds=request.patience),
            request.input,
            request.key_env,
        )
        return await hammer(plan, progress)


@asynccontextmanager
async def _target(request: HammerRequest) -> AsyncIterator[HammerTarget]:
    if request.target is not None:
        yield request.target
        return
    async with scriptedapp.serving(FaultScript(request.faults, request.seed)) as url:
        yield guard.checked(url, ())


def _shortest_deadline(app: str) -> timedelta:
    """The shortest deadline of the automations that call the app. Raises ConfigurationError."""
    found = settings.load({}, os.environ, Path.cwd())
    calling = [each.deadline for each in catalog.load(found.catalogue) if any(to.http and to.http.app == app for to in each.targets)]
    return min(calling, default=_DEADLINE)


def _check_folder(file: Path) -> None:
    """Raises OSError if the file cannot be written, before the function is called thousands of times for it."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file in it", str(file))
    if not file.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder; create it first", str(file.parent))
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot be written", str(file))


def _write(request: HammerRequest, found: report.HammerReport, screen: Screen) -> None:
    policy, picture = request.files
    written = [(picture, chart.svg(found)), *([(policy, policyfile.text(found))] if found.found is not None else [])]
    for file, text in written:
        file.write_text(text, encoding="utf-8")
        if not screen.as_json:
            screen.note(f"wrote {file}")


class HammerProgress:
    """Shows the progress on a terminal: a line for each rate, and the present step."""

    def __init__(self, screen: Screen, status: Status | None) -> None:
        self._screen, self._status = screen, status

    def measured(self, step: LoadStep) -> None:
        """A rate was measured."""
        if self._screen.live:
            self._screen.note(hammerview.step_line(step), "yellow" if step.broken else "")
        self._say(f"measuring: {step.rate:.0f}/s is done")

    def searching(self, measured: Measurement) -> None:
        """The search for policies has begun."""
        self._say(f"working out policies from {len(measured.usual):,} calls")

    def trying(self, plan: TrialPlan, ended: int) -> None:
        """This many of the requests with the policy have ended."""
        self._say(f"trying: {ended:,} of {plan.requests:,} requests at {plan.rate:.0f}/s")

    def _say(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)
