"""Room for the calls of a target: so many at a time, in the order of arrival, and none of it is ever lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bridge.catalog.target import HttpTarget
from bridge.outcome import Failed
from bridge.resilience import BreakerRules, CircuitOpen, Policies, Policy, in_a_row
from bridge.targets.slots import AWAY, WAITING, Slot, Slots
from bridge.testing import NOON, FakeClock
from tests.core_kit import MINUTE

KEY = ("report", "main")
TWO = HttpTarget(app="app", path="/api/main", concurrency=2)
BUSY = Failed("Http503", "busy", retriable=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def slots(clock: FakeClock) -> Slots:
    return Slots(Policies(), clock)


async def taken(slots: Slots) -> Slot:
    slot = await slots.take(KEY, TWO)
    assert isinstance(slot, Slot)
    return slot


async def waiting(slots: Slots, count: int) -> list[asyncio.Task[Slot]]:
    tasks = [asyncio.create_task(taken(slots)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def free(slots: Slots) -> int:
    """How many more could be taken now."""
    found = []
    while (slot := slots.take_at_once(KEY, TWO)) is not None:
        found.append(slot)
    for slot in found:
        slots.release(slot)
    return len(found)


async def test_a_target_has_the_room_that_its_catalogue_says(slots):
    first, _ = await taken(slots), await taken(slots)
    assert slots.take_at_once(KEY, TWO) is None
    slots.release(first)
    assert free(slots) == 1


async def test_who_waits_gets_the_slot_in_the_order_of_arrival_and_before_anybody_who_comes_later(slots):
    first, second = await taken(slots), await taken(slots)
    tasks = await waiting(slots, 2)
    slots.release(first)
    assert slots.take_at_once(KEY, TWO) is None
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, False]
    slots.release(second)
    await asyncio.gather(*tasks)


async def test_who_gives_up_waiting_takes_no_slot(slots):
    first, second = await taken(slots), await taken(slots)
    (task,) = await waiting(slots, 1)
    task.cancel()
    await asyncio.wait([task])
    slots.release(first)
    slots.release(second)
    assert free(slots) == 2


async def test_who_gives_up_at_the_moment_of_its_turn_passes_the_slot_on(slots):
    first, second = await taken(slots), await taken(slots)
    given_up, next_one = await waiting(slots, 2)
    slots.release(first)
    given_up.cancel()
    await asyncio.wait([given_up, next_one], timeout=10)
    slots.release(next_one.result())
    slots.release(second)
    assert free(slots) == 2


async def test_when_all_give_up_at_once_their_slots_are_free_and_nothing_else_is_raised(slots):
    async def call() -> None:
        slot = await taken(slots)
        try:
            await asyncio.Event().wait()
        finally:
            slots.release(slot)

    tasks = [asyncio.create_task(call()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    assert free(slots) == 2


async def test_a_delivery_that_too_many_wait_before_goes_away_for_a_moment(slots):
    for _ in range(2):
        await taken(slots)
    tasks = await waiting(slots, 2 * WAITING - 1)
    assert slots.busy_for(KEY, TWO) is None
    tasks += await waiting(slots, 1)
    pause = slots.busy_for(KEY, TWO)
    assert pause is not None
    assert AWAY[0] <= pause <= AWAY[1]
    for task in tasks:
        task.cancel()


async def test_a_target_is_free_until_its_last_slot_is_taken(slots):
    await taken(slots)
    assert slots.is_free(KEY, TWO)
    await taken(slots)
    assert not slots.is_free(KEY, TWO)


@pytest.fixture
def guarded(clock: FakeClock) -> Slots:
    """With a breaker that opens at the first failure, for a minute; then it lets two calls through."""
    return Slots(Policies({"app": Policy(breaker=BreakerRules(in_a_row(1), MINUTE, max_requests=2))}), clock)


async def test_who_waited_while_the_breaker_opened_is_told_and_takes_no_room(guarded, clock):
    first, second = await taken(guarded), await taken(guarded)
    late = asyncio.create_task(guarded.take(KEY, TWO))
    await asyncio.sleep(0)
    guarded.report(first, BUSY)
    guarded.release(first)
    assert await late == CircuitOpen(NOON + MINUTE)
    assert guarded.take_at_once(KEY, TWO) is None
    guarded.release(second)
    clock.advance(MINUTE)
    assert free(guarded) == 2


async def test_a_call_of_which_nothing_was_reported_does_not_count_for_the_breaker(guarded, clock):
    failed = await taken(guarded)
    guarded.report(failed, BUSY)
    guarded.release(failed)
    clock.advance(MINUTE)
    for _ in range(3):
        guarded.release(await taken(guarded))
    assert guarded.busy_for(KEY, TWO) is None


async def test_a_target_is_not_free_while_the_breaker_of_its_app_is_open(guarded, clock):
    failed = await taken(guarded)
    guarded.report(failed, BUSY)
    guarded.release(failed)
    assert not guarded.is_free(KEY, TWO)
    clock.advance(MINUTE)
    assert guarded.is_free(KEY, TWO)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_breaker_opens_for_its_time_whoever_sets_the_clock(guarded, clock, hours):
    failed = await taken(guarded)
    guarded.report(failed, BUSY)
    guarded.release(failed)
    clock.set_forward(timedelta(hours=hours))
    assert guarded.busy_for(KEY, TWO) == MINUTE
    clock.advance(MINUTE)
    assert guarded.busy_for(KEY, TWO) is None


async def test_a_function_that_fails_does_not_stop_its_neighbours(guarded):
    failed = await taken(guarded)
    guarded.report(failed, BUSY)
    guarded.release(failed)
    neighbour = HttpTarget(app="app", path="/api/other")
    assert not guarded.is_free(KEY, TWO)
    assert guarded.is_free(("report", "other"), neighbour)


async def test_automations_that_share_a_function_share_its_breaker(guarded):
    failed = await taken(guarded)
    guarded.report(failed, BUSY)
    guarded.release(failed)
    assert not guarded.is_free(("another", "main"), TWO)
