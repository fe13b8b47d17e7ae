"""`python -m tests.soak`: half the load this machine can take, for half an hour; memory, handles, threads and database must stay flat.

Exit code 1 if they do not, or if a request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY
from tests.chaos import report
from tests.chaos.storm import end_on_sigterm
from tests.soak.chart import chart
from tests.soak.load import MOST_UNDER_WAY, Load, function, listeners
from tests.soak.samples import MB, Database, Process, Sample, look
from tests.soak.verdict import Verdict, judge

EVERY = 10.0  #: seconds between samples
CALIBRATION, AT_ONCE = 10.0, 32  #: seconds, and callers
PICTURE = report.PAGE.parent / "soak.svg"


@dataclass(frozen=True)
class Plan:
    """`rate` in requests a second, half of what the machine takes if None; `warm_up` in minutes; `retention` in seconds."""

    minutes: float
    rate: float | None
    warm_up: float
    retention: int


@dataclass(frozen=True)
class Soaked:
    """What was sampled, and which requests did not end well."""

    rate: float
    samples: list[Sample]
    failed: int
    missed: int


async def soak(plan: Plan, folder: Path, console: Console) -> Soaked:
    """Raises TimeoutError if it does not end in time, CancelledError on SIGTERM."""
    end_on_sigterm()
    async with asyncio.timeout(plan.minutes * 60 + 180), function(folder) as url:
        config = scripted_config(url, "log_level: warning", f"retention: {plan.retention}s")
        bridge = BridgeProcess(folder / "data", config, environment={"SCRIPTED_KEY": KEY})
        await bridge.start()
        try:
            connections = aiohttp.TCPConnector(limit=MOST_UNDER_WAY)
            async with listeners(bridge.data_dir), aiohttp.ClientSession(bridge.url, connector=connections) as http:
                load = Load(http)
                rate = plan.rate or await load.burst(CALIBRATION, AT_ONCE) / 2
                console.print(f"{rate:.0f} requests a second for {plan.minutes:g} minutes", highlight=False)
                samples = await _sampled(plan, load, rate, bridge, console)
        finally:
            await bridge.stop()
    return Soaked(rate, samples, load.failed, load.missed)


async def _sampled(plan: Plan, load: Load, rate: float, bridge: BridgeProcess, console: Console) -> list[Sample]:
    assert bridge.process is not None
    process, database, stop = Process(bridge.process.pid), Database(bridge.data_dir), asyncio.Event()
    samples: list[Sample] = []
    began = last = time.monotonic()
    load.latencies = []
    async with asyncio.TaskGroup() as group:
        group.create_task(load.steady(rate, stop))
        while time.monotonic() < began + plan.minutes * 60:
            await asyncio.sleep(EVERY)
            now = time.monotonic()
            seen, load.latencies = load.latencies, []
            samples.append(await asyncio.to_thread(look, process, database, now - began, seen, now - last))
            last = now
            _tell(console, samples[-1])
        stop.set()
    return samples


def _tell(console: Console, sample: Sample) -> None:
    said = (
        f"{sample.at:6.0f} s {sample.rate:6.0f}/s  RSS {sample.rss / MB:6.1f} MB  handles {sample.handles:4}  threads {sample.threads:3}  "
        f"runs {sample.runs:6}  used {sample.used / MB:6.1f} MB (indexes {sample.index / MB:5.1f})  file {sample.file / MB:6.1f} MB  "
        f"wal {sample.log / MB:5.1f} MB  p99 {sample.p99:6.1f} ms  load {sample.load:4.1f}"
    )
    console.print(said, highlight=False)


def show(console: Console, verdict: Verdict, came: Soaked) -> list[tuple[str, str]]:
    """Print the table; its rows."""
    rows = [("load", f"{came.rate:.0f} requests a second"), *verdict.rows, ("failed, not begun", f"{came.failed:,}, {came.missed:,}")]
    table = Table(show_header=False, box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in verdict.wrong:
        console.print(f"[red]{line}[/]", highlight=False)
    return rows


def read() -> tuple[Plan, bool]:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long (%(default)s)")
    parser.add_argument("--rate", type=float, help="requests a second (half of what ten seconds at full load reach)")
    parser.add_argument("--warm-up", type=float, metavar="MINUTES", help="what is not judged (40 %% of the time)")
    parser.add_argument("--retention", type=int, default=60, metavar="SECONDS", help="how long ended runs are kept (%(default)s)")
    parser.add_argument("--report", action="store_true", help="write figures and picture into docs/, too")
    chosen = parser.parse_args()
    warm_up = chosen.minutes * 0.4 if chosen.warm_up is None else chosen.warm_up
    return Plan(chosen.minutes, chosen.rate, warm_up, chosen.retention), chosen.report


def main() -> int:
    plan, wants_report = read()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        came = asyncio.run(soak(plan, Path(folder), console))
    verdict = judge(came.samples, plan.warm_up * 60)
    rows = show(console, verdict, came)
    if wants_report:
        PICTURE.write_text(chart(came.samples, plan.warm_up * 60))
        report.write("soak", [("time", f"{plan.minutes:g} min, of which {plan.warm_up:g} to warm up"), *rows], "\n![Soak](soak.svg)\n")
    return 1 if verdict.wrong or came.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
