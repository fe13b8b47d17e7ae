"""Runs in memory: as many as there is room for, and none after its retention."""

from __future__ import annotations

import tracemalloc

from bridge import run as runs
from bridge.run import Run
from bridge.runs.runcache import IN_MEMORY, CachedRun, RunCache
from bridge.testing import NOON
from tests.core_kit import MINUTE, SECOND, a_run
from tests.runs_kit import succeed


def known(run: Run) -> CachedRun:
    return CachedRun.of(run, "1", runs.dump(run), NOON)


def named(name: str) -> Run:
    return a_run(correlationid=name)


def test_the_oldest_are_forgotten_first():
    room = RunCache(IN_MEMORY * (known(named("r0")).size * 5 // 2))
    for name in ("r0", "r1", "r2"):
        room.put(known(named(name)))
    assert [name for name in ("r0", "r1", "r2") if room.peek(name)] == ["r1", "r2"]


def test_what_is_put_again_takes_its_room_once():
    room = RunCache(IN_MEMORY * (known(named("r0")).size * 5 // 2))
    for name in ("r0", "r1", "r1", "r1"):
        room.put(known(named(name)))
    assert room.peek("r0")


def test_a_run_whose_retention_is_over_is_not_known_any_more():
    room, run = RunCache(10**6), succeed(a_run())
    room.put(known(run))
    assert room.get("order-1", NOON + SECOND)
    assert room.get("order-1", NOON + 2 * MINUTE) is None
    assert room.peek("order-1") is None


def test_a_run_is_told_from_one_that_was_stored_otherwise():
    run = a_run()
    assert known(run).is_stored_as(runs.dump(run))
    assert not known(run).is_stored_as(runs.dump(succeed(run)))


def test_a_run_takes_the_memory_that_is_counted_for_it():
    stored = [runs.dump(a_run(data="x" * 300, correlationid=f"r{number}")) for number in range(300)]
    runs.load(stored[0])
    tracemalloc.start()
    loaded = [runs.load(value) for value in stored]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(loaded) * len(stored[0]) * IN_MEMORY / 2 < taken < len(loaded) * len(stored[0]) * IN_MEMORY * 1.3
