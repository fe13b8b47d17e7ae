"""The command `bridge canary`, which requests automations regularly and reports whether they work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bridge import canary as canaries
from bridge import durations
from bridge.canary import CanaryCase, CanaryVerdict
from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.client import BridgeClient
from bridge.errors import ConfigurationError
from bridge.ports import Requester
from bridge.settings import ServiceBusNamespace


def canary(  # noqa: PLR0913, PLR0917 - the options of the command
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="FILE", help="The automations with their input and expected output.")] = Path(
        "canary.yaml"
    ),
    once: Annotated[bool, typer.Option("--once", help="One round; the exit code is 1 if anything was not as expected.")] = False,
    interval: Annotated[str, typer.Option(help="From the start of one round to the start of the next.")] = "5m",
    namespace: Annotated[str | None, typer.Option(metavar="HOST", help="Service Bus, such as my-bus.servicebus.windows.net.")] = None,
    connection_string_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Service Bus by a connection string, such as the one in .bridge/servicebus.json.")
    ] = None,
    requests: Annotated[str, typer.Option(metavar="TOPIC", help="Where requests are published.")] = "automation-canary",
    replies: Annotated[str, typer.Option(metavar="TOPIC/SUBSCRIPTION", help="Where replies are read.")] = "automation-replies/canary",
) -> None:
    """Request the automations in a file over HTTP, and over Service Bus if it is given, and show whether they answer as expected.

    Runs until Ctrl-C, unless --once is given. The token should have the name canary, because runs of that submitter have separate metrics.
    """
    where = _bus(namespace, connection_string_file)
    if replies.count("/") != 1:
        raise typer.BadParameter(f"--replies {replies!r} is not TOPIC/SUBSCRIPTION.")
    try:
        pause, cases = durations.parse(interval), canaries.load(plan)
    except ConfigurationError as fault:
        raise typer.BadParameter("; ".join(fault.problems)) from None
    except ValueError as fault:
        raise typer.BadParameter(f"--interval: {fault}") from None
    if pause <= timedelta(0):
        raise typer.BadParameter(f"--interval: {interval!r} is not a pause; write more than 0s.")

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        async with AsyncExitStack() as stack:
            requester = await _requester(stack, where, requests, replies)
            if requester is None:
                screen.note("Only over HTTP: neither --namespace nor --connection-string-file names a Service Bus.", "yellow")
            while True:
                began = time.monotonic()
                code = await _round(cases, client, requester, screen)
                if once:
                    return code
                await asyncio.sleep(max(0.0, began + pause.total_seconds() - time.monotonic()))

    session.of(context).run(work)


def _bus(namespace: str | None, connection_string_file: Path | None) -> ServiceBusNamespace | None:
    if namespace is None and connection_string_file is None:
        return None
    try:
        return ServiceBusNamespace(namespace=namespace, connection_string_file=connection_string_file)
    except ValidationError as fault:
        raise typer.BadParameter(f"--namespace, --connection-string-file: {fault.errors()[0]['msg']}") from None


async def _requester(stack: AsyncExitStack, where: ServiceBusNamespace | None, requests: str, replies: str) -> Requester | None:
    if where is None:
        return None
    from bridge import app  # noqa: PLC0415 - the whole bridge takes long to load, and over HTTP none of it is needed

    try:
        return await stack.enter_async_context(app.open_requester(where, requests, replies))
    except ConfigurationError as fault:
        raise typer.BadParameter("; ".join(fault.problems)) from None


async def _round(cases: Sequence[CanaryCase], client: BridgeClient, requester: Requester | None, screen: Screen) -> Exit:
    verdicts = await canaries.rounds_of(cases, client, requester)
    if screen.as_json:
        screen.json([{**asdict(each), "seconds": round(each.seconds, 3), "ok": not each.why} for each in verdicts])
    else:
        screen.table(("automation", "over", "seconds", "result"), [_row(each) for each in verdicts])
    return Exit.FAILED if any(each.why for each in verdicts) else Exit.OK


def _row(verdict: CanaryVerdict) -> tuple[str, str, str, str]:
    return verdict.automation, verdict.way, f"{verdict.seconds:.2f}", verdict.why or "as expected"
