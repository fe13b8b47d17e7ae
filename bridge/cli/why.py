"""The command `bridge why`, which explains what a run is waiting for, or why it ended as it did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import typer

from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.cli.runs import Id, errors_written, took
from bridge.cli.screen import Screen
from bridge.client import BridgeClient
from bridge.client.answers import FINAL, AttemptView, InvocationView, RunView


def why(context: typer.Context, correlation_id: Id) -> None:
    """Explain what a run is waiting for, or why it ended as it did."""

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        run = await client.get(correlation_id)
        if screen.as_json:
            waiting = run.get("waitingFor")
            screen.json({"correlationId": run["correlationId"], "status": run["status"], "waitingFor": waiting, "story": [*story(run)]})
        else:
            for line in story(run):
                screen.line(line)
        return Exit.OK

    session.of(context).run(work)


def story(run: RunView) -> Iterator[str]:
    """The run in sentences: its status, each attempt of each target, and what comes next."""
    yield _first(run)
    for invocation in run["invocations"]:
        yield from _attempts(invocation, several=len(run["invocations"]) > 1)
    waiting = run.get("waitingFor")
    if waiting:
        until = f" Until {_clock(waiting['until'])}, {_from_now(waiting['until'])}." if "until" in waiting else ""
        yield f"It waits ({waiting['reason']}): {waiting['message']}{until}"
    error = run.get("error")
    if error:
        yield f"{error['code']}: {error['message']}"
        if error.get("hint"):
            yield str(error["hint"])
    if run["status"] not in FINAL:
        yield f"The deadline is {_clock(run['deadline'])}, {_from_now(run['deadline'])}."


def _first(run: RunView) -> str:
    asked = f"{run['correlationId']} was requested at {_clock(run['createdAt'])} ({run['automation']})"
    return f"{asked} and is {run['status']}." if run["status"] not in FINAL else f"{asked} and ended {run['status']} after {took(run)}."


def _attempts(invocation: InvocationView, *, several: bool) -> Iterator[str]:
    if several or not invocation["attempts"]:
        yield f"{invocation['target']} is {invocation['status']}" + ("." if invocation["attempts"] else " and was not started.")
    for number, attempt in enumerate(invocation["attempts"], 1):
        yield f"  Attempt {number} began at {_clock(attempt['startedAt'])}: {_outcome(attempt)}."


def _outcome(attempt: AttemptView) -> str:
    said = attempt["outcome"] + (f" after {attempt['durationMs']:,} ms" if "durationMs" in attempt else "")
    said += f", {errors_written(attempt['errorsWritten'])}" if attempt.get("errorsWritten") else ""
    return f"{said}, {attempt['code']}: {attempt.get('message', '')}".rstrip(". ") if attempt.get("code") else said


def _clock(text: str) -> str:
    return text[:19].replace("T", " ") + "Z"


def _from_now(text: str) -> str:
    seconds = (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()
    return f"in {seconds:,.0f} s" if seconds >= 0 else f"{-seconds:,.0f} s ago"
