"""`python -m tests.benchmarks`: the bridge, a raw path and its peers do the same work, one after the other, on this machine.

One request is: submit, a function gives about 500 B back, the result is stored, the caller has it by its id. The raw path stores nothing;
it is the floor. Ratios of one run mean something, single figures hold for the machine that stands below the table. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console
from rich.markup import escape

from tests.benchmarks import machine, peerhome
from tests.benchmarks.chart import chart
from tests.benchmarks.figures import Figures
from tests.benchmarks.measure import Plan, measure
from tests.benchmarks.rows import ROWS, Row, named
from tests.benchmarks.table import cpu, sidecar, speed

NOTES = """\
"topic": Prefer: wait with a function behind a topic. "bare": the function in a bare HTTP server instead of the functions host.
One client process sends: for all HTTP rows a lean HTTP/1.1 client (httptools, uvloop), for each peer its own library.
Client and servers share the cores.
x raw: req/s against the raw path, which calls the same function through a front that promises nothing.
CPU: user + system of a process and all below it. "worker" runs the function. Everybody logs warnings only.
load: one-minute average before the row. others: cores that everything else kept busy meanwhile; where it is not near 0, measure again.
Celery, saq and taskiq get one reader for all results (MGET every 2 ms), which is faster than their own look for each.
The bridge answers once the request is synced to disk (synchronous=FULL); Redis syncs its file once a second, after it has answered."""

ON_DAPR = """\
"on Dapr": a real daprd with components/redis, a Redis that syncs each write (appendonly yes, appendfsync always), a bare function.
bare handler: the same publishes, deliveries and state writes, each one plain call of the sidecar, without any promise: no input is checked,
no etag compared, no deadline kept, no index, no second attempt. x raw of a bridge there is its req/s against the bare handler's.
The counts are what the Redis was asked, so that a call which carries many counts as many."""


async def run(rows: Sequence[Row], plan: Plan, console: Console) -> list[Figures]:
    """Measure the rows one after the other."""
    missing = ""
    if any(row.is_peer for row in rows):
        with console.status("Installs the peers into .cache/bench-venv"):
            try:
                await peerhome.prepare()
            except peerhome.Missing as fault:
                missing = str(fault)
    measured = []
    for row in rows:
        if row.is_peer and missing:
            measured.append(Figures(row.name, row.title, 0.0, skipped=missing, is_peer=True))
        else:
            with console.status(row.title) as status:
                measured.append(await measure(row, plan, status.update))
        _tell(console, measured[-1])
    return measured


def _tell(console: Console, figures: Figures) -> None:
    """One line while the others are still to come."""
    said = f"skipped: {figures.skipped}" if figures.skipped else f"{figures.rate:,.0f} req/s, {figures.server_cpu:.2f} CPU ms a request"
    console.print(f"{figures.title}: {escape(said)}", highlight=False)


async def _facts(with_peers: bool) -> dict[str, str]:
    facts = machine.facts()
    if with_peers:
        found = ", ".join(f"{name} {version}" for name, version in (await peerhome.versions()).items())
        facts |= {"peers": found, "redis": await machine.program("redis-server")}
    return facts


async def main(arguments: argparse.Namespace, console: Console) -> None:
    """Measure, and show what came out."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    plan = Plan(requests=300, repeats=3, warm_up=100, seconds=0) if arguments.quick else Plan(requests=arguments.requests)
    rows = [row for name in arguments.only for row in named(name)] if arguments.only else list(ROWS)
    measured = await run(rows, plan, console)
    facts = await _facts(any(row.is_peer and row.rates for row in measured))
    console.print(speed(measured, plan.at_once, plan.rate), cpu(measured))
    if through := sidecar(measured):
        console.print(through)
        console.print(ON_DAPR, highlight=False)
    console.print(NOTES, highlight=False)
    for name, fact in facts.items():
        console.print(f"{name}: {fact}", highlight=False)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "plan": asdict(plan), "rows": [asdict(row) for row in measured]}, indent=2))
    if arguments.svg:
        arguments.svg.write_text(chart(measured, f"Requests a second, {plan.at_once} in flight ({facts['machine']})"))


def read(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the bridge beside its peers.",
        epilog="\n".join(["rows:", *(f"  {row.name:<16}{row.title}" for row in ROWS), "", ON_DAPR]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="300 requests a repeat and no latency run: for trying, not for figures")
    parser.add_argument("--only", action="append", metavar="NAME", help="rows whose name starts so, see below")
    parser.add_argument("--requests", type=int, default=Plan.requests, metavar="N", help="requests of one repeat (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here, too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw requests a second here")
    chosen = parser.parse_args(words)
    if unknown := [name for name in chosen.only or () if not named(name)]:
        parser.error(f"--only {unknown[0]}: there is no such row; there are {', '.join(row.name for row in ROWS)}")
    if not 1 <= chosen.requests <= 100_000:
        parser.error(f"--requests {chosen.requests}: expected 1 to 100000")
    return chosen


if __name__ == "__main__":
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(read(), Console()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
