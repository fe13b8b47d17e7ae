"""The times of a run within one process, and in another one, when somebody sets the wall clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge.run import Run
from bridge.runs.runclock import TOLERANCE, RunClock
from bridge.testing import NOON, FakeClock, MemoryStore
from tests.core_kit import SECOND, a_run

HOUR = timedelta(hours=1)


class World:
    def __init__(self, *, shared: bool = False) -> None:
        self.clock = FakeClock()
        self.runs = RunClock(self.clock, "first", MemoryStore(self.clock, shared=shared))

    def run(self) -> Run:
        mark, now = self.runs.start()
        run = a_run()
        return replace(run, created_at=now, deadline=now + 60 * SECOND, control=replace(run.control, clock=mark))


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
def test_a_run_under_way_does_not_notice_that_the_clock_is_set(set_forward):
    world = World()
    run = world.run()
    world.clock.advance(10 * SECOND)
    world.clock.set_forward(set_forward)
    assert world.runs.now(run) == NOON + 10 * SECOND
    assert world.runs.ahead(run) == set_forward


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
def test_a_run_created_afterwards_shows_the_new_time(set_forward):
    world = World()
    world.clock.set_forward(set_forward)
    run = world.run()
    world.clock.set_forward(-set_forward)
    world.clock.advance(10 * SECOND)
    assert (run.created_at, world.runs.now(run)) == (NOON + set_forward, NOON + set_forward + 10 * SECOND)


def test_what_other_programs_are_given_is_what_their_clocks_will_show():
    world = World()
    run = world.run()
    world.clock.set_forward(HOUR)
    assert world.runs.on_the_wall(run, run.deadline) == NOON + HOUR + 60 * SECOND


def test_a_difference_that_comes_from_reading_two_clocks_is_none():
    world = World()
    world.clock.set_forward(timedelta(seconds=TOLERANCE / 2))
    run = world.run()
    assert (run.control.clock, run.created_at, world.runs.ahead(run)) == ("first", NOON, timedelta(0))


@pytest.mark.parametrize(("shared", "then"), [(False, NOON), (True, NOON + HOUR)])
def test_a_run_of_another_process_follows_the_clock_of_the_one_that_has_it_unless_they_share_it(shared, then):
    """Replicas have nothing but the wall clock in common; a process that is alone has gone by its own since its start."""
    world = World(shared=shared)
    run = world.run()
    other = RunClock(world.clock, "other", MemoryStore(world.clock, shared=shared))
    world.clock.set_forward(HOUR)
    assert other.now(run) == then


def test_beside_a_process_that_shares_nothing_no_other_one_runs():
    runs = World().runs
    assert [runs.is_over(process) for process in ("first", "earlier", "")] == [False, True, True]


def test_where_replicas_share_the_runs_an_earlier_process_of_the_same_replica_is_over_and_no_other():
    clock = FakeClock()
    runs = RunClock(clock, "host-8081/now", MemoryStore(clock, shared=True))
    known = {"host-8081/now": False, "host-8081/before": True, "host-8082/before": False, "host-8081": False, "": False}
    assert {process: runs.is_over(process) for process in known} == known


def test_a_process_whose_replica_has_no_name_takes_no_other_for_over():
    assert not World(shared=True).runs.is_over("earlier")
