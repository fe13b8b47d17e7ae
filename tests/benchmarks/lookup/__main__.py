"""`python -m tests.benchmarks.lookup`: how fast a bridge with many runs starts, looks up, lists, audits and sweeps. Nothing is asserted.

The directories are made once and used again for a day. All is measured from outside, by one client on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine
from tests.benchmarks.lookup import directory
from tests.benchmarks.lookup.measuring import Figures, Spread, Walk, measure
from tests.benchmarks.lookup.picture import picture

NOTES = """\
GET: of random ids. Lists: the first 20 pages of each. "waited": the longest that /healthz/live, asked every 5 ms, needed meanwhile.
(CPU): what the bridge's event loop spent, ms for one request, s for a walk. On a machine where others run, that is the figure to compare.
RSS: of the bridge's process after all look-ups and the audit. The sweep begins a second after the start."""


async def main(chosen: argparse.Namespace, console: Console) -> None:
    """Measure, and show what came out."""
    folder: Path = chosen.folder or Path(tempfile.mkdtemp(prefix="bridge-lookup-"))
    measured = []
    try:
        for runs in chosen.runs:
            with console.status(f"makes {runs:,} runs") as status:
                made = await directory.make(folder, runs)
                measured.append(await measure(made, chosen.longest, lambda said, runs=runs: status.update(f"{runs:,} runs: {said}")))
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    facts = machine.facts()
    console.print(table(measured))
    console.print(NOTES, highlight=False)
    for name, fact in facts.items():
        console.print(f"{name}: {fact}", highlight=False)
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": facts, "rows": [each.as_json() for each in measured]}, indent=2))
    if chosen.svg:
        chosen.svg.write_text(picture(measured, facts["machine"]))


def table(measured: Sequence[Figures]) -> Table:
    """One column for each directory."""
    shown = Table(title="Looking up", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("", no_wrap=True)
    for each in measured:
        shown.add_column(f"{each.runs:,} runs", justify="right", no_wrap=True)
    for name, cells in rows(measured):
        shown.add_row(name, *cells)
    return shown


def rows(measured: Sequence[Figures]) -> list[tuple[str, list[str]]]:
    """The lines of the table: what was measured, and each directory's figure."""
    one, memory = measured[0], "RSS, MB (the most, at the start)"
    return [
        ("start, s", [f"{each.start:.1f}" for each in measured]),
        *((f"GET, {name}: p50/p99 ms (CPU)", [_spread(each.gets[name]) for each in measured]) for name in one.gets),
        *((f"list {name}: p50/longest ms (CPU)", [_longest(each.pages[name]) for each in measured]) for name in one.pages),
        *((f"{name}: s (CPU s), longest wait ms", [_walk(each.walks[name]) for each in measured]) for name in one.walks),
        (memory, [f"{each.rss:.0f} ({each.rss_at_most:.0f}, {each.rss_at_start:.0f})" for each in measured]),
    ]


def _spread(of: Spread) -> str:
    return f"{of.p50:.1f}/{of.p99:.1f} ({of.cpu:.2f})"


def _longest(of: Spread) -> str:
    return f"{of.p50:.0f}/{of.longest:.0f} ({of.cpu:.1f})"


def _walk(of: Walk) -> str:
    return f"{of.seconds:.1f} ({of.cpu:.1f}), {of.longest:.0f}"


def read(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lookup", description="Measure look-ups in a bridge with many runs.")
    parser.add_argument("--runs", action="append", type=int, metavar="N", help="so many runs; may be repeated (1000 and 1000000)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep the directories here and use them again")
    parser.add_argument("--longest", type=float, default=600, metavar="SECONDS", help="that an audit or a sweep may take (%(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here, too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the figures here")
    chosen = parser.parse_args(words)
    chosen.runs = chosen.runs or [1_000, 1_000_000]
    if not all(100 <= runs <= 3_000_000 for runs in chosen.runs):
        parser.error("--runs: expected 100 to 3000000")
    return chosen


if __name__ == "__main__":
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(read(), Console(width=120)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
