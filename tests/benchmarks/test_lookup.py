from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.store import SCHEMA, EmbeddedStore
from bridge.app import SystemClock
from bridge.audit import Audit
from bridge.auth import LOCAL
from bridge.deadletters import DeadLetters, DeadLetterSettings
from bridge.index import Index
from bridge.run import Status
from bridge.runs import RunStore, runlist
from bridge.runs.runlist import RunFilter, RunList
from bridge.testing import FakeClock, MemoryBus
from tests.benchmarks.lookup.__main__ import read, rows
from tests.benchmarks.lookup.directory import KEEP, make
from tests.benchmarks.lookup.measuring import Figures, Spread, Walk
from tests.benchmarks.lookup.picture import picture

FIGURES = [
    Figures(
        runs,
        1.2,
        60,
        80,
        90,
        {"1 at a time": Spread(1, 2, 3, 0.5)},
        {"all, 50": Spread(4, 5, 6, 2)},
        {"all, 50": 9},
        {"audit": Walk(7, 6, 1, 2, 8)},
    )
    for runs in (1_000, 1_000_000)
]


async def test_a_made_directory_is_what_a_bridge_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlist, "BUDGET", 60)
    made = await make(tmp_path, 300)
    async with Database.open(made.path, SCHEMA) as database:
        store, clock = EmbeddedStore(database, data_limit=2**30), SystemClock()
        index, replies, letters = (
            Index(store, clock, name=name, replica="embedded", keep=KEEP) for name in ("index", "replies", "letters")
        )
        runs = RunStore(store, MemoryBus(FakeClock()), index, clock)
        dead_letters = DeadLetters(store, MemoryBus(FakeClock()), letters, clock, DeadLetterSettings(KEEP, KEEP))
        report = await Audit(runs, index, replies, dead_letters, clock).take()
        shown, _ = await RunList(index, runs).page(RunFilter(limit=2), "", LOCAL)
        failed, _ = await RunList(index, runs).page(RunFilter(status=Status.FAILED), "", LOCAL)
    assert (report.ended, report.replies, report.dead_letters) == ({"Succeeded": 297, "Failed": 3}, 300, {"Malformed": 3})
    assert report.discrepancies == []
    assert [run.correlation_id for run in shown] == [made.id_of(299), made.id_of(298)]
    assert [run.correlation_id for run in failed] == [made.id_of(number) for number in (200, 100, 0)]


async def test_a_directory_is_made_once(tmp_path: Path) -> None:
    assert await make(tmp_path, 100) == await make(tmp_path, 100)


def test_every_figure_has_its_line() -> None:
    assert rows(FIGURES)[1:4] == [
        ("GET, 1 at a time: p50/p99 ms (CPU)", ["1.0/2.0 (0.50)", "1.0/2.0 (0.50)"]),
        ("list all, 50: p50/longest ms (CPU)", ["4/6 (2.0)", "4/6 (2.0)"]),
        ("audit: s (CPU s), longest wait ms", ["7.0 (6.0), 8", "7.0 (6.0), 8"]),
    ]


def test_the_picture_has_a_bar_for_each_figure_and_a_line_for_each_limit() -> None:
    drawn = ET.fromstring(picture(FIGURES, "cores & more"))  # noqa: S314 - our own
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 2 + 5 * 2
    assert len(drawn.findall("{http://www.w3.org/2000/svg}line")) == 1 + 5


@pytest.mark.parametrize(("words", "runs"), [([], [1_000, 1_000_000]), (["--runs", "500"], [500])])
def test_the_sizes_may_be_chosen(words: list[str], runs: list[int]) -> None:
    assert read(words).runs == runs
