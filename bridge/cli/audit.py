"""The command `bridge audit`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli import inputs, session
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.client import BridgeClient
from bridge.client.answers import AuditReportView
from bridge.client.errors import Problem
from bridge.files import textfile

_AT_ONCE = 20  #: look-ups under way
_NOT_FOUND = "was accepted, says the file, and is not known here"


def audit(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="Only what was requested since then: RFC 3339, or a span such as 24h.")] = None,
    accepted: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Correlation ids that your callers saw accepted, one per line: each must be known.")
    ] = None,
) -> None:
    """Compare what was accepted with what ended, was replied to, and was dead-lettered (role admin).

    Lists every id that does not fit, and exits with code 1 if there is one.
    """
    start = inputs.moment(since, ago=True) if since else None
    ids = _ids(accepted) if accepted else []

    async def work(client: BridgeClient, screen: Screen) -> Exit:
        report = await client.audit(since=start)
        unknown = await _unknown(client, ids)
        report["misfits"] += [{"correlationId": each, "what": _NOT_FOUND} for each in unknown]
        report["misfitCount"] += len(unknown)
        if screen.as_json:
            screen.json(report)
        else:
            _show(screen, report)
        return Exit.FAILED if report["misfitCount"] else Exit.OK

    session.of(context).run(work)


def _ids(file: Path) -> list[str]:
    try:
        return [line for line in map(str.strip, textfile.read(file).splitlines()) if line]
    except (OSError, UnicodeDecodeError) as fault:
        raise typer.BadParameter(f"{file} cannot be read: {fault}") from None


async def _unknown(client: BridgeClient, ids: list[str]) -> list[str]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def known(correlation_id: str) -> bool:
        async with room:
            try:
                await client.get(correlation_id)
            except Problem as problem:
                if problem.status != 404:
                    raise
                return False
            return True

    found = await asyncio.gather(*(known(each) for each in ids))
    return [each for each, there in zip(ids, found, strict=True) if not there]


def _show(screen: Screen, report: AuditReportView) -> None:
    ended, dead_letters = sum(report["ended"].values()) + report["forgotten"], report["deadLetters"]
    by_status = report["ended"] | ({"kept no longer": report["forgotten"]} if report["forgotten"] else {})
    rows = [
        ("accepted", report["accepted"], ""),
        ("ended", ended, _listed(by_status)),
        ("unfinished", report["unfinished"], ""),
        ("replies", report["replies"], f"{report['repliesDue']:,} due" if report["repliesDue"] else ""),
        ("dead letters", sum(dead_letters.values()), _listed(dead_letters)),
        ("not accepted", report["notAccepted"], "requested; the caller got an error or no answer" if report["notAccepted"] else ""),
    ]
    screen.table(("what", "count", "of these"), [(name, f"{count:,}", details) for name, count, details in rows])
    if not report["misfitCount"]:
        screen.line(
            f"It fits: accepted {report['accepted']:,} = ended {ended:,} + unfinished {report['unfinished']:,}, and nothing is overdue.",
            "green",
        )
        return
    screen.line(f"{report['misfitCount']:,} do not fit:", "red")
    screen.table(("correlation id", "what"), [(each["correlationId"], each["what"]) for each in report["misfits"]])


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
