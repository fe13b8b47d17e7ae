from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bridge import lifecycle
from bridge.errors import Unavailable
from bridge.index import PAGE, Entry, Index
from bridge.lifecycle import Cause, Tried
from bridge.outcome import Succeeded
from bridge.results import Results
from bridge.run import Run
from bridge.sweeper import GRACE, Sweeper
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import MINUTE, SECOND, a_run

DAY = timedelta(days=1)


class World:
    """A bridge in which no timer ever comes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store, self.bus = MemoryStore(self.clock), MemoryBus(self.clock)
        self.index, self.results = self.process("a")
        self.sweeper = Sweeper(self.index, self.results, self.bus, self.clock, every=timedelta(milliseconds=1))

    def process(self, name: str) -> tuple[Index, Results]:
        index = Index(self.store, self.clock, name="index", replica=name, keep=DAY)
        return index, Results(self.store, index, self.clock)

    async def create(self, *ids: str) -> None:
        await asyncio.gather(*(self.results.create(self.run(each)) for each in ids))

    def run(self, correlation_id: str) -> Run:
        now = self.clock.now()
        return a_run(correlationid=correlation_id).model_copy(update={"created_at": now, "deadline": now + 2 * MINUTE})

    async def end(self, correlation_id: str) -> None:
        cause = Cause("result", self.clock.now(), DAY)
        await self.results.change(correlation_id, lambda run: lifecycle.finish(run, "main", Tried(-1, Succeeded(1)), cause))

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


async def test_a_run_is_swept_again_until_it_has_ended(world):
    await world.create("x")
    world.clock.advance(5 * MINUTE)
    assert [await world.sweeper.sweep() for _ in range(2)] == [1, 1]
    await world.end("x")
    assert await world.sweeper.sweep() == 0


async def test_pages_in_which_all_have_ended_are_not_read_again(world):
    ids = [f"r{number}" for number in range(3 * PAGE)]
    await world.create(*ids)
    for each in ids:
        await world.end(each)
    world.clock.advance(5 * MINUTE)
    await world.create("last")
    await world.sweeper.sweep()
    before = world.store.calls["get"]
    await world.sweeper.sweep()
    assert world.store.calls["get"] - before < PAGE + 10  # the last of them is looked at again


async def test_a_late_run_on_an_old_page_is_not_forgotten_behind_ended_ones(world):
    await world.create("late", *(f"r{number}" for number in range(PAGE)))
    for number in range(PAGE):
        await world.end(f"r{number}")
    await world.sweeper.sweep()
    world.clock.advance(5 * MINUTE)
    for _ in range(2):
        assert await world.sweeper.sweep() == 1


async def test_trouble_stops_a_sweep_and_not_the_sweeper(world, caplog):
    await world.create("x")
    world.clock.advance(5 * MINUTE)
    world.bus.fail(Unavailable("down"))
    sweeping = asyncio.create_task(world.sweeper.run())
    async with asyncio.timeout(5):
        while not world.bus.published:
            await asyncio.sleep(0.001)
    sweeping.cancel()
    assert "the sweep stopped and will be repeated: down" in caplog.text
    assert set(world.swept) == {"x"}
