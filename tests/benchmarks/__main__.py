"""`python -m tests.benchmarks`: the bridge, a raw path and its peers do the same work, one after the other, on this machine.

One request is: submit, a function gives about 500 B back, the result is stored, the caller has it by its id. The raw path stores nothing;
it is the floor. Ratios of one run mean something, single figures hold for the machine that stands below the table. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console
from rich.markup import escape

from tests.benchmarks import machine, peerhome
from tests.benchmarks.aims import aims
from tests.benchmarks.chart import chart
from tests.benchmarks.figures import Figures
from tests.benchmarks.markdown import markdown, page
from tests.benchmarks.measure import Plan, measure
from tests.benchmarks.notes import ELSEWHERE, NOTES, ON_DAPR, promises
from tests.benchmarks.record import Measured, as_json, read_json
from tests.benchmarks.rows import ROWS, Need, Row, named
from tests.benchmarks.servers import NATS, RESTATE
from tests.benchmarks.table import cpu, reached, sidecar, speed


async def run(rows: Sequence[Row], plan: Plan, console: Console) -> list[Figures]:
    """Measure the rows one after the other."""
    lacks = await _prepare(rows, console)
    measured = []
    for row in rows:
        if reason := next((lacks[need] for need in row.needs if need in lacks), ""):
            about = Figures(row.name, row.title, 0.0, skipped=reason, is_peer=row.is_peer)
            measured.append(replace(about, is_durable=row.is_durable, column_of=row.column_of))
        else:
            with console.status(row.title) as status:
                measured.append(await measure(row, plan, status.update))
        _tell(console, measured[-1])
    return measured


async def _prepare(rows: Sequence[Row], console: Console) -> dict[Need, str]:
    """Install what the rows need before anything is measured; what cannot be had, with the reason."""
    lacks: dict[Need, str] = {}
    for need in dict.fromkeys(need for row in rows for need in row.needs):
        with console.status(f"Installs what is missing into {peerhome.CACHE}"):
            try:
                await need()
            except peerhome.Missing as fault:
                lacks[need] = str(fault)
    return lacks


def _tell(console: Console, figures: Figures) -> None:
    """One line while the others are still to come."""
    said = f"skipped: {figures.skipped}" if figures.skipped else f"{figures.rate:,.0f} req/s, {figures.server_cpu:.2f} CPU ms a request"
    console.print(f"{figures.title}: {escape(said)}", highlight=False)


async def _facts(with_peers: bool) -> dict[str, str]:
    facts = machine.facts()
    if with_peers:
        found = ", ".join(f"{name} {version}" for name, version in (await peerhome.versions()).items())
        servers = ", ".join(f"{server.name} {server.version}" for server in (RESTATE, NATS) if server.path.exists())
        facts |= {"peers": found, "redis": await machine.program("redis-server"), "durable engines": servers or "none"}
    return facts


async def main(arguments: argparse.Namespace, console: Console) -> None:
    """Measure, or read what was measured, and show it."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    measured = read_json(arguments.read) if arguments.read else await _measure(arguments, console)
    _show(measured, console)
    if arguments.json:
        arguments.json.write_text(as_json(measured))
    if arguments.svg:
        arguments.svg.write_text(
            chart(measured.rows, f"Requests a second, {measured.plan.at_once} in flight ({measured.facts['machine']})")
        )
    if arguments.markdown:
        _write_page(arguments.markdown, measured, arguments.svg)


def _write_page(path: Path, measured: Measured, picture: Path | None) -> None:
    """The tables, the picture if one was drawn, and the machine."""
    drawn = [f"![Requests a second of each row]({Path(os.path.relpath(picture, path.parent)).as_posix()})"] if picture else []
    sent = f"{measured.plan.requests:,} requests {measured.plan.repeats} times, {measured.plan.at_once} in flight"
    facts = "; ".join(f"{name}: {fact}" for name, fact in measured.facts.items())
    figures = [markdown(measured.rows, measured.plan.rate), *drawn, f"One run: {sent}. {facts[:1].upper()}{facts[1:]}."]
    path.write_text(page(path.read_text() if path.exists() else "", "\n\n".join(figures)))


async def _measure(arguments: argparse.Namespace, console: Console) -> Measured:
    plan = Plan(requests=300, repeats=3, warm_up=100, seconds=0) if arguments.quick else Plan(requests=arguments.requests)
    wanted = [row for name in arguments.only for row in named(name)] if arguments.only else list(ROWS)
    rows = await run(list(dict.fromkeys(wanted)), plan, console)
    return Measured(await _facts(any(row.is_peer and row.rates for row in rows)), plan, rows)


def _show(measured: Measured, console: Console) -> None:
    """The tables, and below them what they mean."""
    rows, plan = measured.rows, measured.plan
    console.print(speed(rows, plan.at_once, plan.rate), cpu(rows))
    if through := sidecar(rows):
        console.print(through)
        console.print(ON_DAPR, highlight=False)
    if found := aims(rows):
        console.print(reached(found))
    console.print(NOTES, highlight=False)
    for said in (*promises(rows), *(f"{name}: {fact}" for name, fact in measured.facts.items())):
        console.print(said, highlight=False, markup=False)


def read(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the bridge beside its peers.",
        epilog="\n".join(["rows:", *(f"  {row.name:<21}{row.title}" for row in ROWS), "", ON_DAPR, "", ELSEWHERE]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="300 requests a repeat and no latency run: for trying, not for figures")
    parser.add_argument("--only", action="append", metavar="NAME", help="rows whose name starts so, see below")
    parser.add_argument("--requests", type=int, default=Plan.requests, metavar="N", help="requests of one repeat (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here, too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw requests a second here")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables here; in docs/speed.md they replace those that are there"
    )
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: show, draw and write what --json wrote there")
    chosen = parser.parse_args(words)
    if unknown := [name for name in chosen.only or () if not named(name)]:
        parser.error(f"--only {unknown[0]}: there is no such row; there are {', '.join(row.name for row in ROWS)}")
    if not 1 <= chosen.requests <= 100_000:
        parser.error(f"--requests {chosen.requests}: expected 1 to 100000")
    return chosen


if __name__ == "__main__":
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            # Where nobody looks at a terminal, the tables have the room they need.
            runner.run(main(read(), Console(width=None if sys.stdout.isatty() else 150)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
