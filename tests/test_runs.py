from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bridge import lifecycle
from bridge.errors import Conflict, Full, PortError, Unavailable, Undeliverable
from bridge.lifecycle import Causation
from bridge.ports import Message
from bridge.run import Run, Status
from bridge.runs import RunStore
from bridge.runs.runcache import IN_MEMORY
from bridge.testing import NOON
from tests.core_kit import MINUTE, SECOND, a_run
from tests.runs_kit import KEY, World, percent, shown, succeed


@pytest.fixture(params=[False, True], ids=["own store", "shared store"])
def world(request: pytest.FixtureRequest) -> World:
    return World(shared=request.param)


@pytest.fixture
def runs(world: World) -> RunStore:
    return world.process()


REQUEST = [Message("automation-requests", b"{}")]


# Creating.


async def test_a_new_run_is_stored_and_found_by_any_process(world, runs):
    run = a_run(data=2**60)
    assert await runs.create(run) == (run, True)
    assert await runs.get("order-1") == run
    assert await world.process("b").get("order-1") == run


async def test_a_run_that_nobody_created_is_not_there(runs):
    assert await runs.get("nothing") is None
    assert await runs.get_many(["nothing"]) == [None]


async def test_the_run_that_has_the_id_answers_and_stays_as_it_is(world, runs):
    first = a_run(data=1)
    await runs.create(first)
    for process in (runs, world.process("b")):
        assert await process.create(a_run(data=2)) == (first, False)
    assert await world.stored() == first


async def test_of_many_who_create_at_once_one_does_and_all_get_its_run(world, runs):
    others = [runs, runs, world.process("b"), world.process("c")]
    outcomes = await asyncio.gather(*(each.create(a_run(data=number), first=REQUEST) for number, each in enumerate(others)))
    stored = await world.stored()
    assert [run for run, _ in outcomes] == [stored] * 4
    assert [created for _, created in outcomes].count(True) == 1


async def test_callers_of_one_process_share_one_write(world, runs):
    await asyncio.gather(*(runs.create(a_run()) for _ in range(5)))
    assert [key for key in world.store.stored_keys() if key.startswith("run/")] == [KEY]
    assert world.store.calls["create"] == 4  # the index' three keys and the run


@pytest.mark.parametrize("error", [Unavailable("lost"), Conflict("lost")])
async def test_a_create_that_succeeded_but_reports_failure_is_a_create(world, runs, error):
    world.store.fail(error, key="run/", written=True)
    run = a_run()
    assert await runs.create(run) == (run, True)


@pytest.mark.parametrize(("error", "told"), [(Unavailable("down"), Unavailable), (Full("no room"), Full), (PortError("odd"), Unavailable)])
async def test_a_create_that_failed_is_told_and_may_be_repeated(world, runs, error, told):
    world.store.fail(error, key="run/")
    with pytest.raises(told):
        await runs.create(a_run())
    assert await runs.get("order-1") is None
    assert (await runs.create(a_run()))[1]


async def test_without_a_place_in_the_index_there_is_no_run(world, runs):
    world.store.fail(Unavailable("down"), key="index")
    with pytest.raises(Unavailable):
        await runs.create(a_run())
    assert await world.stored() is None


@pytest.mark.parametrize("fault", [Unavailable("down"), Undeliverable("too large")])
async def test_what_cannot_be_published_has_no_run(world, runs, fault):
    world.bus.fail(fault)
    with pytest.raises(type(fault)):
        await runs.create(a_run(), first=REQUEST)
    assert await world.stored() is None


async def test_publishing_comes_before_the_run(world, runs):
    world.store.fail(Unavailable("down"), key="run/")
    with pytest.raises(Unavailable):
        await runs.create(a_run(), first=REQUEST)
    assert (world.bus.published, await world.stored()) == (REQUEST, None)


async def test_who_looks_while_a_run_is_created_waits_for_it(runs):
    creating = asyncio.create_task(runs.create(a_run(), first=REQUEST))
    await asyncio.sleep(0)
    assert await runs.get("order-1") == (await creating)[0]


async def test_who_waits_for_a_creation_that_fails_is_told(world, runs):
    world.store.fail(Unavailable("down"), key="run/")
    creating = asyncio.create_task(runs.create(a_run()))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await runs.get("order-1")
    with pytest.raises(Unavailable):
        await creating


async def test_who_looks_while_a_creation_is_refused_sees_what_there_is(world, runs):
    world.bus.fail(Undeliverable("too large"))
    creating = asyncio.create_task(runs.create(a_run(), first=REQUEST))
    await asyncio.sleep(0)
    assert await runs.get("order-1") is None
    with pytest.raises(Undeliverable):
        await creating


async def test_a_failure_of_both_bus_and_index_leaves_nothing_unheard(world, runs):
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    world.store.unreachable = Unavailable("down")
    world.bus.fail(Unavailable("down"))
    with pytest.raises(Unavailable):
        await runs.create(a_run(), first=REQUEST)
    for _ in range(5):
        await asyncio.sleep(0)
    world.store.unreachable = None
    gc.collect()
    assert complaints == []


async def test_runs_are_found_in_the_order_of_their_ids(runs):
    await runs.create(a_run(correlationid="x"))
    await runs.create(a_run(correlationid="y"))
    found = await runs.get_many(["y", "nothing", "x"])
    assert [run and run.correlation_id for run in found] == ["y", None, "x"]


@pytest.mark.parametrize("full", [False, True])
async def test_whether_there_is_room_is_known(world, runs, full):
    world.store.is_full = full
    assert runs.is_full is full


# Changing.


async def test_a_change_is_stored_and_tells_before_and_after(world, runs):
    run, _ = await runs.create(a_run())
    before, after = await runs.change("order-1", percent(40))
    assert (before, shown(after)) == (run, 40)
    assert await world.stored() == after


async def test_what_is_not_there_cannot_be_changed(runs):
    assert await runs.change("nothing", percent(1)) is None


async def test_a_change_that_changes_nothing_writes_nothing(world, runs):
    run, _ = await runs.create(a_run())
    before = dict(world.store.calls)
    assert await runs.change("order-1", lambda current: current) == (run, run)
    assert world.store.calls["save"] == before["save"]


async def test_a_conflict_is_resolved_by_applying_the_change_to_what_stands_there(world):
    world.store.shared = True
    one, other = world.process("a"), world.process("b")
    await one.create(a_run())
    await other.change("order-1", lambda run: lifecycle.ask_cancel(run, now=NOON + SECOND))
    before, after = await one.change("order-1", percent(40)) or (None, None)
    assert before is not None
    assert before.status is Status.CANCELING
    assert (after.status, shown(after)) == (Status.CANCELING, 40)
    assert await world.stored() == after


async def test_changes_of_many_processes_are_all_kept(world):
    world.store.shared = True
    processes = [world.process(name) for name in "abcd"]
    await processes[0].create(a_run())

    def add(run: Run) -> Run:
        return lifecycle.report(run, "main", percent=(shown(run) or 0) + 1, message=None, now=NOON)

    await asyncio.gather(*(each.change("order-1", add) for each in processes for _ in range(5)))
    assert shown(await world.stored()) == 20


@pytest.mark.parametrize("error", [Unavailable("lost"), Conflict("lost")])
async def test_a_save_that_succeeded_but_reports_failure_is_a_save(world, runs, error):
    await runs.create(a_run())
    world.store.fail(error, key="run/", written=True)
    calls = 0

    def change(run: Run) -> Run:
        nonlocal calls
        calls += 1
        return percent(40)(run)

    _, after = await runs.change("order-1", change) or (None, None)
    assert (calls, shown(after), await world.stored()) == (1, 40, after)
    assert await runs.change("order-1", percent(50))


async def test_a_save_that_failed_is_told_and_forgotten(world, runs):
    run, _ = await runs.create(a_run())
    world.store.fail(Unavailable("down"), key="run/")
    with pytest.raises(Unavailable):
        await runs.change("order-1", percent(40))
    assert await runs.get("order-1") == run
    assert await runs.change("order-1", percent(50))


async def test_who_loses_every_time_is_told(world, runs):
    await runs.create(a_run())
    for _ in range(20):
        world.store.fail(Conflict("somebody was faster"), key="run/")
    with pytest.raises(Unavailable, match="changed by others 20 times in a row"):
        await runs.change("order-1", percent(40))


async def test_a_change_that_fails_lets_the_next_one_in(runs):
    await runs.create(a_run())
    with pytest.raises(ZeroDivisionError):
        await runs.change("order-1", lambda _: 1 / 0)
    assert await runs.change("order-1", percent(1))


# Lifetime.


async def test_a_run_is_kept_until_its_retention_after_the_end_is_over(world, runs):
    await runs.create(a_run())
    world.clock.advance(timedelta(days=30))
    assert await runs.get("order-1")
    await runs.change("order-1", lambda run: lifecycle.time_out(run, Causation("d", world.clock.now(), MINUTE)))
    world.clock.advance(MINUTE - SECOND)
    assert await runs.get("order-1")
    world.clock.advance(SECOND)
    assert await runs.get("order-1") is None
    assert (await runs.create(a_run()))[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda run: replace(run, rerun_of="x"),
        lambda run: run,
    ],
    ids=["changed", "as it is"],
)
async def test_a_run_whose_retention_is_over_cannot_be_changed(world, runs, change):
    await runs.create(a_run())
    await runs.change("order-1", succeed)
    world.clock.advance(2 * MINUTE)
    assert await runs.change("order-1", change) is None


async def test_an_ended_run_is_answered_from_memory(world, runs):
    await runs.create(a_run())
    await runs.change("order-1", succeed)
    before = world.store.calls["get"]
    assert (await runs.get("order-1")).output == 7
    assert world.store.calls["get"] == before


async def test_memory_is_bounded(world):
    runs = world.process(remember=3_000 * IN_MEMORY)
    for number in range(20):
        await runs.create(a_run(data="x" * 100, correlationid=f"r{number}"))
    before = world.store.calls["get"]
    assert [(await runs.get(f"r{number}")).correlation_id for number in range(20)] == [f"r{number}" for number in range(20)]
    assert world.store.calls["get"] > before + 10


async def test_a_run_larger_than_the_memory_can_still_be_changed(world):
    runs = world.process(remember=10)
    await runs.create(a_run())
    assert await runs.change("order-1", percent(40))
    assert shown(await runs.get("order-1")) == 40


async def test_what_was_written_a_moment_ago_is_recalled_without_a_look_into_a_shared_store():
    world = World(shared=True)
    runs = world.process()
    run, _ = await runs.create(a_run())
    looks = world.store.calls["get"]
    assert await runs.get_recent("order-1") == run
    assert world.store.calls["get"] == looks


async def test_what_was_written_longer_ago_is_looked_up_as_another_process_may_have_changed_it():
    world = World(shared=True)
    runs = world.process()
    await runs.create(a_run())
    await world.process("b").change("order-1", percent(40))
    world.clock.advance(SECOND)
    assert shown(await runs.get_recent("order-1")) == 40


async def test_a_run_recalled_is_changed_as_it_stands():
    world = World(shared=True)
    runs = world.process()
    await runs.create(a_run())
    await world.process("b").change("order-1", percent(40))
    assert shown(await runs.get_recent("order-1")) is None
    changed = await runs.change("order-1", percent(50))
    assert changed
    assert shown(changed[0]) == 40
