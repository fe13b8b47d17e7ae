from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge import lifecycle
from bridge.errors import Unavailable
from bridge.index import PAGE, Entry, Index
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Succeeded
from bridge.run import VERSION, Run, dump
from bridge.runs import RunStore
from bridge.runs.sweeper import GRACE, Sweeper
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import MINUTE, SECOND, a_run

DAY = timedelta(days=1)


class World:
    """A bridge in which no timer ever comes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store, self.bus = MemoryStore(self.clock), MemoryBus(self.clock)
        self.index, self.results = self.process("a")
        self.sweeper = self.another_sweeper()

    def process(self, name: str) -> tuple[Index, RunStore]:
        index = Index(self.store, self.clock, name="index", replica=name, keep=DAY)
        return index, RunStore(self.store, self.bus, index, self.clock)

    def another_sweeper(self) -> Sweeper:
        """As after a restart."""
        return Sweeper(self.index, self.results, self.bus, self.clock, every=timedelta(milliseconds=1))

    async def create(self, *ids: str) -> None:
        await asyncio.gather(*(self.results.create(self.run(each)) for each in ids))

    def run(self, correlation_id: str) -> Run:
        now = self.clock.now()
        return replace(a_run(correlationid=correlation_id), created_at=now, deadline=now + 2 * MINUTE)

    async def create_ended(self, count: int) -> None:
        ids = [f"r{number}" for number in range(count)]
        await self.create(*ids)
        for each in ids:
            await self.end(each)

    async def end(self, correlation_id: str) -> None:
        cause = Causation("result", self.clock.now(), DAY)
        await self.results.change(correlation_id, lambda run: lifecycle.finish(run, "main", AttemptResult(-1, Succeeded.of(1)), cause))

    @property
    def swept(self) -> list[str]:
        return sorted(message.correlation_id for message in self.bus.published)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_run_past_its_deadline_is_ended_by_an_event(world):
    await world.create("x")
    world.clock.advance(2 * MINUTE + GRACE + SECOND)
    assert await world.sweeper.sweep() == 1
    (message,) = world.bus.published
    assert (message.topic, message.message_id, message.deliver_at) == ("automation-timers", "x/~deadline", world.clock.now())


async def test_a_run_whose_timer_may_still_come_is_left_alone(world):
    await world.create("x")
    world.clock.advance(2 * MINUTE + GRACE)
    assert (await world.sweeper.sweep(), world.swept) == (0, [])


async def test_ended_runs_are_left_alone(world):
    await world.create("x", "y")
    await world.end("x")
    world.clock.advance(5 * MINUTE)
    assert (await world.sweeper.sweep(), world.swept) == (1, ["y"])


async def test_an_entry_whose_run_never_came_is_no_trouble(world):
    await world.index.add(Entry(created_at=NOON, id="ghost", due=NOON))
    world.clock.advance(5 * MINUTE)
    assert await world.sweeper.sweep() == 0


async def test_runs_of_other_replicas_are_swept_too(world):
    _, other = world.process("b")
    await other.create(world.run("x"))
    world.clock.advance(5 * MINUTE)
    assert (await world.sweeper.sweep(), world.swept) == (1, ["x"])


async def test_a_run_that_only_a_later_release_can_read_keeps_its_page_and_stops_no_other(world):
    await world.create("x", "y")
    key, record = "run/x", json.loads(dump(world.run("x")))
    stored = await world.store.get(key)
    await world.store.save(key, json.dumps({**record, "status": "Paused", "version": VERSION + 1}).encode(), stored.etag)
    world.clock.advance(5 * MINUTE)
    assert (await world.sweeper.sweep(), world.swept) == (1, ["y"])
    await world.end("y")
    stored = await world.store.get(key)
    await world.store.save(key, json.dumps(record).encode(), stored.etag)
    assert (await world.another_sweeper().sweep(), world.swept) == (1, ["x", "y"])


async def test_a_run_is_swept_again_until_it_has_ended(world):
    await world.create("x")
    world.clock.advance(5 * MINUTE)
    assert [await world.sweeper.sweep() for _ in range(2)] == [1, 1]
    await world.end("x")
    assert await world.sweeper.sweep() == 0


async def test_pages_in_which_all_have_ended_are_not_read_again(world):
    await world.create_ended(3 * PAGE)
    world.clock.advance(5 * MINUTE)
    await world.create("last")
    await world.sweeper.sweep()
    before = world.store.calls["get"]
    await world.sweeper.sweep()
    assert world.store.calls["get"] - before < PAGE + 10  # the last of them is looked at again


async def test_a_late_run_on_an_old_page_is_not_forgotten_behind_ended_ones(world):
    await world.create("late")
    await world.create_ended(PAGE)
    await world.sweeper.sweep()
    world.clock.advance(5 * MINUTE)
    for _ in range(2):
        assert await world.sweeper.sweep() == 1


async def test_what_ended_behind_a_run_that_goes_on_is_not_read_again(world):
    await world.index.add(Entry(created_at=NOON, id="long", due=NOON + DAY))
    await world.create_ended(3 * PAGE)
    world.clock.advance(5 * MINUTE)
    await world.create("last")
    await world.sweeper.sweep()
    before = world.store.calls["get"]
    assert await world.sweeper.sweep() == 0
    assert world.store.calls["get"] - before < PAGE + 30


async def test_a_page_that_grows_behind_a_run_that_goes_on_is_read_again(world):
    await world.index.add(Entry(created_at=NOON, id="long", due=NOON + DAY))
    await world.create_ended(PAGE + 5)
    world.clock.advance(5 * MINUTE)
    assert await world.sweeper.sweep() == 0
    await world.create("late")
    world.clock.advance(5 * MINUTE)
    assert (await world.sweeper.sweep(), world.swept) == (1, ["late"])


async def test_a_restarted_sweeper_goes_on_where_the_last_one_was(world):
    await world.create_ended(3 * PAGE)
    world.clock.advance(5 * MINUTE)
    await world.create("late")
    world.clock.advance(5 * MINUTE)
    await world.sweeper.sweep()
    again, before = world.another_sweeper(), world.store.calls["get"]
    assert await again.sweep() == 1
    assert world.store.calls["get"] - before < PAGE + 20


async def test_what_is_remembered_never_lies_behind_a_run_that_has_not_ended(world):
    await world.create(*(f"r{number}" for number in range(2 * PAGE)))
    for number in range(PAGE + 50):
        await world.end(f"r{number}")
    world.clock.advance(5 * MINUTE)
    await world.sweeper.sweep()
    world.bus.published.clear()
    assert await world.another_sweeper().sweep() == PAGE - 50


async def test_an_index_that_was_begun_anew_is_swept_from_its_first_page(world):
    await world.index.bookmark("a", 9)
    await world.create("x")
    world.clock.advance(5 * MINUTE)
    assert await world.sweeper.sweep() == 1


async def test_a_run_that_is_created_long_after_its_entry_is_swept(world):
    run = world.run("x")
    await world.index.add(Entry(created_at=run.created_at, id="x", due=run.deadline))
    for number in range(PAGE):
        await world.index.add(Entry(created_at=NOON, id=f"refused-{number}", due=NOON))
    world.clock.advance(2 * MINUTE + 2 * GRACE)
    assert await world.sweeper.sweep() == 0
    await world.store.create("run/x", dump(run))
    assert (await world.sweeper.sweep(), world.swept) == (1, ["x"])


async def test_others_have_the_event_loop_during_a_sweep(world):
    await world.create(*(f"r{number}" for number in range(PAGE)))
    world.clock.advance(5 * MINUTE)
    sweeping = asyncio.create_task(world.sweeper.sweep())
    turns = 0
    while not sweeping.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > PAGE // 50


async def test_trouble_stops_a_sweep_and_not_the_sweeper(world, caplog):
    await world.create("x")
    world.clock.advance(5 * MINUTE)
    world.bus.fail(Unavailable("down"))
    sweeping = asyncio.create_task(world.sweeper.run())
    async with asyncio.timeout(20):
        while not world.bus.published:
            await asyncio.sleep(0.001)
    sweeping.cancel()
    assert "the sweep stopped and will be repeated: down" in caplog.text
    assert set(world.swept) == {"x"}
