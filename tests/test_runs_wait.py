"""Waiting for the end of a run, and following its changes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bridge.errors import Unavailable
from bridge.ports import Stored
from bridge.run import Status
from bridge.runs import RunStore
from bridge.testing import MemoryStore
from tests.core_kit import a_run
from tests.runs_kit import World, percent, shown, succeed


@pytest.fixture(params=[False, True], ids=["own store", "shared store"])
def results(request: pytest.FixtureRequest) -> RunStore:
    return World(shared=request.param).process()


async def test_a_waiter_is_woken_by_the_end(results):
    await results.create(a_run())
    waiting = asyncio.create_task(results.wait("order-1", 60))
    await asyncio.sleep(0)
    await results.change("order-1", percent(40))
    await results.change("order-1", succeed)
    assert (await asyncio.wait_for(waiting, 20)).status is Status.SUCCEEDED


async def test_a_waiter_sees_what_another_process_changes():
    world = World(shared=True)
    results = world.process()
    await results.create(a_run())
    waiting = asyncio.create_task(results.wait("order-1", 60))
    await asyncio.sleep(0)
    await world.process("b").change("order-1", succeed)
    assert (await asyncio.wait_for(waiting, 20)).status is Status.SUCCEEDED


def reads_at_most(store: MemoryStore, times: int) -> None:
    """Let every read after that many fail, so that a busy loop ends."""
    get, most = store.get, store.calls["get"] + times

    async def counted(key: str) -> Stored | None:
        if store.calls["get"] >= most:
            raise Unavailable("looked too often")
        return await get(key)

    store.get = counted  # type: ignore[method-assign]  # for this test only


@pytest.mark.parametrize(
    "shared",
    [
        False,
        True,
    ],
)
async def test_after_the_wait_the_run_is_given_as_it_stands(shared):
    world = World(shared=shared)
    results = world.process()
    run, _ = await results.create(a_run())
    reads_at_most(world.store, 100)
    assert await results.wait("order-1", 0.05) == run
    assert await results.wait("order-1", 0) == run


async def test_who_waits_gets_the_run_as_it_stands_when_the_bridge_stops(results):
    run, _ = await results.create(a_run())
    waiting = asyncio.create_task(results.wait("order-1", 60))
    await asyncio.sleep(0)
    results.stop_waiting()
    assert await waiting == run
    assert await results.wait("order-1", 60) == run


async def test_there_is_nothing_to_wait_for_where_there_is_no_run(results):
    assert await results.wait("nothing", 5) is None


async def test_whoever_follows_sees_every_change_until_the_end(results):
    await results.create(a_run())

    async def follow() -> list[tuple[str, float | None]]:
        return [(run.status.value, shown(run)) async for run in results.follow("order-1")]

    following = asyncio.create_task(follow())
    for change in (percent(10), percent(20), succeed):
        await asyncio.sleep(0.01)
        await results.change("order-1", change)
    assert list(dict.fromkeys(await asyncio.wait_for(following, 20))) == [
        ("Pending", None),
        ("Pending", 10),
        ("Pending", 20),
        ("Succeeded", 20),
    ]


async def test_many_may_follow_one_run(results):
    await results.create(a_run())
    waiting = [asyncio.create_task(results.wait("order-1", 60)) for _ in range(10)]
    await asyncio.sleep(0)
    await results.change("order-1", succeed)
    assert {run.status for run in await asyncio.wait_for(asyncio.gather(*waiting), 20)} == {Status.SUCCEEDED}


async def test_following_what_is_not_there_ends_at_once(results):
    assert [run async for run in results.follow("nothing")] == []


async def test_following_an_ended_run_shows_it_once(results):
    await results.create(a_run())
    await results.change("order-1", succeed)
    assert [run.status async for run in results.follow("order-1")] == [Status.SUCCEEDED]


async def looks_in(world: World, results: RunStore, seconds: float) -> tuple[int, int]:
    """How often a follower of an unchanged run looks into the store within that time, and how often it shows the run."""
    times, before = 0, world.store.calls["get"]
    reads_at_most(world.store, 50)
    with contextlib.suppress(TimeoutError, Unavailable):
        async with asyncio.timeout(seconds):
            async for _ in results.follow("order-1"):
                times += 1
    return world.store.calls["get"] - before, times


async def test_where_nobody_else_writes_a_follower_does_not_look_again():
    world = World()
    results = world.process()
    await results.create(a_run())
    assert await looks_in(world, results, 0.3) == (0, 1)


@pytest.mark.parametrize(("shared", "remember"), [(True, 10**6), (False, 10)], ids=["shared store", "beyond the memory"])
async def test_a_follower_looks_now_and_then_and_shows_what_has_not_changed_once(shared, remember):
    world = World(shared=shared)
    results = world.process(remember=remember)
    await results.create(a_run())
    looks, times = await looks_in(world, results, 0.3)
    assert looks <= 5
    assert times == 1


async def test_changes_of_this_process_are_followed_without_a_look_into_the_store():
    world = World(shared=True)
    results = world.process()
    run, _ = await results.create(a_run())
    reads_at_most(world.store, 0)
    waiting = asyncio.create_task(results.wait("order-1", 60, run))
    await asyncio.sleep(0)
    for change in (percent(10), percent(20), succeed):
        await results.change("order-1", change)
        await asyncio.sleep(0)
    assert (await asyncio.wait_for(waiting, 20)).status is Status.SUCCEEDED


async def test_a_look_that_a_change_has_overtaken_shows_the_change():
    world = World(shared=True)
    results = world.process()
    await results.create(a_run())
    get, old, changed = world.store.get, await world.store.get("run/order-1"), asyncio.Event()

    async def slow(key: str) -> Stored | None:
        await changed.wait()
        return old if key == "run/order-1" else await get(key)

    world.store.get = slow  # type: ignore[method-assign]  # for this test only
    looking = asyncio.create_task(results.get("order-1"))
    await asyncio.sleep(0)
    await results.change("order-1", percent(40))
    changed.set()
    assert shown(await looking) == 40
