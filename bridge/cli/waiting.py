"""Waits for a run, and shows its progress on a terminal."""

from __future__ import annotations

import asyncio

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bridge.cli.screen import Screen, clean
from bridge.client import BridgeClient, Problem
from bridge.client.answers import FINAL, RunView


async def found(client: BridgeClient, correlation_id: str, seconds: float) -> RunView:
    """The run as it is. With `seconds`, wait that long for a run that does not exist yet, because its event may still arrive."""
    try:
        return await client.get(correlation_id)
    except Problem as fault:
        if fault.status != 404 or not seconds:
            raise
    return await client.get(correlation_id, wait=seconds)


async def ended(client: BridgeClient, screen: Screen, run: RunView, seconds: float) -> RunView:
    """The ended run, or its present state when the time is over. Ctrl-C stops waiting but not the run, and says so."""
    if run["status"] in FINAL or not seconds:
        return run
    try:
        if not screen.live:
            return await client.wait(run["correlationId"], seconds)
        with bars(screen) as progress:
            task = add(progress, run)
            return await client.wait(run["correlationId"], seconds, lambda latest: update(progress, task, latest))
    except asyncio.CancelledError:
        screen.note(f"The run goes on; `bridge get {run['correlationId']}` shows it, `bridge cancel {run['correlationId']}` stops it.")
        raise


def bars(screen: Screen, *, transient: bool = True) -> Progress:
    """Progress bars, one for each run."""
    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("[dim]{task.fields[message]}"), console=screen.err, transient=transient)


def add(progress: Progress, run: RunView, name: str = "") -> TaskID:
    """A bar for a run. It is animated until the run reports a percentage."""
    return progress.add_task(escape(clean(name or run["automation"])), total=None, message=run["status"])


def update(progress: Progress, task: TaskID, run: RunView) -> None:
    """Move the bar to the progress of the run."""
    reported = run.get("progress", {})
    message = escape(clean(" ".join(str(reported.get("message") or run["status"]).split())[:80]))
    percent = reported.get("percent")
    if run["status"] in FINAL:
        progress.update(task, total=100, completed=100, message=run["status"])
    elif percent is None:
        progress.update(task, message=message)
    else:
        progress.update(task, total=100, completed=min(percent, 99), message=message)
