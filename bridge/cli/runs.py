"""Commands for runs: submit, get, list, cancel, rerun."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from bridge.cli import exits, inputs, session, waiting
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.client import BridgeClient
from bridge.client.answers import FINAL, InvocationView, RunView
from bridge.client.errors import Problem

Id = Annotated[str, typer.Argument(metavar="ID", help="The run's correlation id.")]
Wait = Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait for the end, at most this long.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[key=value | key=@file]...", help="Typed as the automation's schema says; otherwise JSON if it parses, otherwise text."
    ),
]
File = Annotated[str | None, typer.Option("--input", metavar="FILE|-", help="The input as JSON, from a file or standard input.")]


def submit(  # noqa: PLR0913, PLR0917 - one a flag; typer passes them by name
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The automation.")],
    words: Words = None,
    file: File = None,
    correlation_id: Annotated[str, typer.Option("--correlation-id", metavar="ID", help="Your own id for it; generated if left out.")] = "",
    wait: Wait = 0,
    deadline: Annotated[str, typer.Option(metavar="TIME", help="End by then: 2026-01-31T12:00:00Z, or 5m from now.")] = "",
) -> None:
    """Request an automation."""
    written = inputs.read(file, words or [])
    ends = inputs.moment(deadline) if deadline else None

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        value = written.typed(await _schema(client, name) if written.words else None)
        run = await client.submit(name, value, correlation_id=correlation_id or None, deadline=ends)
        return await _finish(client, screen, run, wait)

    session.of(context).run(work)


def get(
    context: typer.Context,
    correlation_id: Id,
    wait: Wait = 0,
    output: Annotated[bool, typer.Option("--output", help="Print only the raw output.")] = False,
) -> None:
    """Look up a run."""

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        run = await waiting.found(client, correlation_id, wait)
        if not output:
            return await _finish(client, screen, run, wait)
        run = await waiting.ended(client, screen, run, wait)
        if run["status"] == "Succeeded":
            screen.raw(await client.output(correlation_id) or b"")
            return Exit.OK
        error = run.get("error")
        screen.note(
            f"{correlation_id} is {run['status']}, so there is no output." + (f" {error['code']}: {error['message']}" if error else "")
        )
        return exits.of(run, waited=True)

    session.of(context).run(work)


def list_runs(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="Pending, Running, Canceling, Succeeded, Failed, Canceled or TimedOut.")] = "",
    automation: Annotated[str, typer.Option(metavar="NAME", help="Only runs of this automation.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Only runs since then: 2026-01-31T12:00:00Z, or 2h ago.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
) -> None:
    """List runs, newest first."""
    start = inputs.moment(since, ago=True) if since else None

    async def work(client: BridgeClient, screen: Screen) -> None:
        found = [run async for run in client.runs(status=status, automation=automation, since=start, limit=limit)]
        if screen.as_json:
            screen.json(found)
        elif found:
            columns = ("id", "automation", "status", "created", "took", "error")
            screen.table(columns, [_row(run) for run in found])
        else:
            screen.note("There are no such runs. `bridge automations` shows what you can request.")

    session.of(context).run(work)


def cancel(context: typer.Context, correlation_id: Id, wait: Wait = 0) -> None:
    """Ask a run to stop."""

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        run = await waiting.ended(client, screen, await client.cancel(correlation_id), wait)
        show(screen, run)
        unfinished = wait and run["status"] not in FINAL
        return Exit.TIMED_OUT if unfinished else Exit.OK

    session.of(context).run(work)


def rerun(context: typer.Context, correlation_id: Id, words: Words = None, file: File = None, wait: Wait = 0) -> None:
    """Run it again under a new id, with the same or a new input."""
    written = inputs.read(file, words or []) if file or words else None

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        value = ...
        if written is not None:
            schema = await _schema(client, (await client.get(correlation_id))["automation"]) if written.words else None
            value = written.typed(schema)
        return await _finish(client, screen, await client.rerun(correlation_id, value), wait)

    session.of(context).run(work)


async def _schema(client: BridgeClient, automation: str) -> Mapping[str, Any] | None:
    """The input schema; None if the bridge does not return it. The request itself then reports the reason."""
    try:
        return (await client.automation(automation))["input"]
    except Problem:
        return None


async def _finish(client: BridgeClient, screen: Screen, run: RunView, wait: float) -> Exit:
    run = await waiting.ended(client, screen, run, wait)
    show(screen, run)
    if run["status"] not in FINAL and not screen.as_json:
        screen.note(f"It is not finished: `bridge get {run['correlationId']} --wait 60` waits for it.")
    return exits.of(run, waited=bool(wait))


def show(screen: Screen, run: RunView) -> None:
    """Print a run."""
    if screen.as_json:
        screen.json(run)
        return
    facts = {"automation": run["automation"], "status": run["status"], "created": run["createdAt"], "took": took(run)}
    facts["progress"] = _progress(run)
    facts["waits for"] = run.get("waitingFor", {}).get("message", "")
    for invocation in run["invocations"]:
        facts[f"on {invocation['target']}"] = _invocation(invocation)
    error = run.get("error")
    if error:
        facts |= {"error": f"{error['code']}: {error['message']}", "hint": error.get("hint", "")}
        facts |= {f"at {each.get('pointer') or '/'}": str(each.get("detail", "")) for each in error.get("errors", [])}
    screen.card(run["correlationId"], facts, run.get("output", ...))


def _invocation(invocation: InvocationView) -> str:
    """The status of an invocation, how often it was attempted, and how many errors the last attempt wrote."""
    attempts = invocation["attempts"]
    written = attempts[-1].get("errorsWritten", 0) if attempts else 0
    said = f"{invocation['status']}, {len(attempts)} attempt{'' if len(attempts) == 1 else 's'}"
    return f"{said}, {errors_written(written)}" if written else said


def errors_written(count: int) -> str:
    """The number of errors in words: "2 errors written"."""
    return f"{count:,} error{'' if count == 1 else 's'} written"


def _row(run: RunView) -> tuple[str, ...]:
    error = run.get("error")
    remark = f"{error['code']}: {error['message']}" if error else _progress(run)
    return (run["correlationId"], run["automation"], run["status"], run["createdAt"][:19].replace("T", " "), took(run), remark[:80])


def _progress(run: RunView) -> str:
    progress: dict[str, Any] = {**run.get("progress", {})} if run["status"] not in FINAL else {}
    percent = f"{progress['percent']:g} %" if progress.get("percent") is not None else ""
    return f"{percent} {progress.get('message') or ''}".strip()


def took(run: RunView) -> str:
    """How long an ended run took, in words; empty for an unfinished run."""
    if run["status"] not in FINAL:
        return ""
    seconds = (datetime.fromisoformat(run["updatedAt"]) - datetime.fromisoformat(run["createdAt"])).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
