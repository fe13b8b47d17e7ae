"""Runs the demo: a bridge and its functions host on free ports, the sample automations, and their results."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from rich.progress import Progress

from bridge.cli import runs, waiting
from bridge.cli.demo import findings, samples
from bridge.cli.demo.samples import NoTrustStore, Question
from bridge.cli.demo.stack import NotReady, running
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.client import BridgeClient
from bridge.client.answers import RunView
from bridge.client.errors import Problem, Unreachable
from bridge.errors import ConfigurationError
from bridge.local.functions import powershell

LONGEST = 60.0  #: seconds one run may take


async def tell(screen: Screen, functions: Path, runtime: str = "embedded") -> Exit:
    """Run the demo. The exit code is OK only if every run ended as expected."""
    _stop_on_signals()
    try:
        with_powershell = _has_powershell(screen)
        questions = samples.questions(with_powershell=with_powershell)
        screen.note("Starting a bridge and a functions host on this machine …", "dim")
        async with running(functions, runtime, 2 if with_powershell else 1) as url, BridgeClient(url) as client:
            screen.note(f"Ready at {url}", "green")
            return await _show(client, screen, questions)
    except asyncio.CancelledError:
        screen.note("Stopped.")
        return Exit.INTERRUPTED
    except (NotReady, NoTrustStore, Unreachable, ConfigurationError) as fault:
        screen.note(str(fault), "red")
        return Exit.FAILED
    except Problem as problem:
        screen.problem(problem)
        return Exit.REFUSED


def _has_powershell(screen: Screen) -> bool:
    """Whether this machine has PowerShell. If not, one line says what to install. Raises ConfigurationError for a wrong BRIDGE_PWSH."""
    try:
        powershell.find()
    except powershell.NoPowerShell as missing:
        screen.note(f"The PowerShell samples are left out. {missing.problems[0]}", "yellow")
        return False
    return True


async def _show(client: BridgeClient, screen: Screen, questions: list[Question]) -> Exit:
    asked = [(question, await _ask(client, question)) for question in questions]
    ended = await _follow(client, screen, asked)
    refusal = await _bad(client, screen)
    if screen.as_json:
        screen.json(ended)
    else:
        screen.table(("automation", "correlation id", "status", "took", "what came out"), [_row(run) for run in ended])
        _look_up(screen, ended[-1])
    well = refusal and all(run["status"] == "Succeeded" for run in ended)
    screen.note("Everything ended as it should." if well else "Not everything ended as it should.", "green" if well else "red")
    return Exit.OK if well else Exit.FAILED


async def _ask(client: BridgeClient, question: Question) -> RunView:
    if question.event:
        return await client.publish_event(question.as_event())
    return await client.submit(question.automation, question.value, correlation_id=question.correlation_id)


async def _follow(client: BridgeClient, screen: Screen, asked: list[tuple[Question, RunView]]) -> list[RunView]:
    """Wait for each run to end, in the order of the requests, and yield it."""
    with waiting.bars(screen, transient=False) as progress:
        return await asyncio.gather(*(_one(client, progress, question.title, run) for question, run in asked))


async def _one(client: BridgeClient, progress: Progress, title: str, run: RunView) -> RunView:
    bar = waiting.add(progress, run, title)
    ended = await client.wait(run["correlationId"], LONGEST, lambda latest: waiting.update(progress, bar, latest))
    waiting.update(progress, bar, ended)
    return ended


async def _bad(client: BridgeClient, screen: Screen) -> bool:
    """Send an invalid input, and show how the bridge answers."""
    try:
        await client.submit("certificate.inspect", {"certificate": "not even a certificate"})
    except Problem as problem:
        screen.note("An input that cannot be used, {certificate: …} instead of {pem: …}, is refused with the reason:")
        screen.problem(problem)
        return problem.status == 422
    screen.note("An input that cannot be used was accepted.", "red")
    return False


def _row(run: RunView) -> tuple[str, ...]:
    error = run.get("error")
    remark = f"{error['code']}: {error['message']}" if error else findings.tell(run["automation"], run.get("output"))
    return (run["automation"], run["correlationId"], run["status"], runs.took(run), remark[:110])


def _look_up(screen: Screen, run: RunView) -> None:
    screen.line(f"\nAny run can be looked up by its correlation id: bridge get {run['correlationId']}")
    brief: RunView = {**run}
    if "output" in brief:
        brief["output"] = findings.tell(run["automation"], run["output"], most=500)
    runs.show(screen, brief)


def _stop_on_signals() -> None:
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
