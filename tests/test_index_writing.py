from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from bridge.errors import Conflict, Unavailable
from bridge.index import PAGE, Entry
from bridge.testing import NOON
from tests.core_kit import MINUTE, SECOND
from tests.index_kit import KEEP, World, newest, pages


@pytest.fixture
def world() -> World:
    return World()


# Stored records.


async def test_every_record_has_its_version(world):
    await world.add(world.a, 1)
    await world.a.bookmark("a", 1)
    for key in world.store.stored_keys():
        stored = await world.store.get(key)
        assert stored is not None
        assert json.loads(stored.value)["version"] == 1
    assert world.store.stored_keys() == ["index", "index/a", "index/a/0", "index/a/bookmark"]


async def test_records_from_before_there_were_versions_are_read(world):
    await world.store.create("index", b'{"names":["a"]}')
    await world.store.create("index/a", b'{"first":0,"last":0}')
    page = b'{"entries":[{"created_at":"2026-01-31T12:00:01Z","id":"1","subject":""},'
    page += b'{"created_at":"2026-01-31T12:00:02.5Z","id":"2","subject":"report","due":"2026-01-31T12:01:00Z"}]}'
    await world.store.create("index/a/0", page)
    await world.add(world.a, 3)
    assert (await newest(world.a))[0] == [3, 2, 1]
    assert (await pages(world.a, "a"))[0][1][1] == Entry(NOON + timedelta(seconds=2.5), "2", "report", NOON + MINUTE)


# Writing.


async def test_entries_that_wait_together_go_into_one_write(world):
    await world.add(world.a, 0)
    before = world.store.calls["save"]
    await world.add(world.a, *range(1, PAGE))
    assert world.store.calls["save"] == before + 1


async def test_pages_turn_when_they_are_full(world):
    for start in range(0, 5 * PAGE, PAGE // 2):
        await world.add(world.a, *range(start, start + PAGE // 2))
    assert [(number, len(entries)) for number, entries in await pages(world.a, "a")] == [(number, PAGE) for number in range(5)]
    assert (await newest(world.b))[0] == list(reversed(range(5 * PAGE)))


async def test_more_than_a_page_at_once_is_spread_over_pages(world):
    await world.add(world.a, *range(2 * PAGE + 7))
    assert [len(entries) for _, entries in await pages(world.a, "a")] == [PAGE, PAGE, 7]


async def test_pages_are_read_from_any_of_them(world):
    await world.add(world.a, *range(3 * PAGE))
    assert [number for number, _ in await pages(world.a, "a", 1)] == [1, 2]
    assert [number for number, _ in await pages(world.a, "a", 9)] == []


async def test_replicas_find_each_other_even_when_they_start_together(world):
    await asyncio.gather(*(world.add(world.replica(f"r{number}"), number) for number in range(5)))
    assert sorted(await world.a.spans()) == ["r0", "r1", "r2", "r3", "r4"]


async def test_a_restart_goes_on_where_it_stopped(world):
    await world.add(world.a, *range(PAGE - 1))
    again = world.replica("a")
    await world.add(again, PAGE - 1)
    await world.add(again, PAGE)
    assert [len(entries) for _, entries in await pages(again, "a")] == [PAGE, 1]
    assert list(await world.a.spans()) == ["a"]


# Trouble.


async def test_a_page_that_has_changed_is_read_again_and_written_once_more(world):
    await world.add(world.a, 1)
    world.store.fail(Conflict("another version"), key="index/a/0")
    await world.add(world.a, 2)
    assert await newest(world.a) == ([2, 1], "")


@pytest.mark.parametrize("key", ["index", "index/a", "index/a/0"])
async def test_a_write_that_failed_is_told_and_the_next_one_goes_on(world, key):
    world.store.fail(Unavailable("down"), key=key)
    with pytest.raises(Unavailable):
        await world.add(world.a, 1)
    await world.add(world.a, 2)
    assert await newest(world.a) == ([2], "")


@pytest.mark.parametrize("error", [Unavailable("lost"), Conflict("lost")])
@pytest.mark.parametrize("key", ["index", "index/a", "index/a/0"])
async def test_a_write_that_succeeded_but_reported_failure_counts(world, key, error):
    world.store.fail(error, key=key, written=True)
    await world.add(world.a, 1)
    await world.add(world.a, 2)
    assert await newest(world.a) == ([2, 1], "")


async def test_a_save_that_failed_in_the_middle_of_a_page_loses_no_entry(world):
    await world.add(world.a, 1)
    world.store.fail(Unavailable("down"), key="index/a/")
    with pytest.raises(Unavailable):
        await world.add(world.a, 2)
    await world.add(world.a, 3)
    assert (await newest(world.a))[0] == [3, 1]


async def test_a_save_of_which_nothing_is_known_is_looked_at_before_the_next(world):
    await world.add(world.a, 1)
    get = world.store.get

    async def fails_once(_: str) -> None:
        world.store.get = get
        raise Unavailable("down")

    world.store.get = fails_once
    world.store.fail(Unavailable("down"), key="index/a/", written=True)
    with pytest.raises(Unavailable):
        await world.add(world.a, 2)
    await world.add(world.a, 3)
    assert (await newest(world.a))[0] == [3, 2, 1]


async def test_a_page_that_could_not_be_turned_is_turned_later(world):
    await world.add(world.a, *range(PAGE))
    world.store.fail(Unavailable("down"), key="index/a/1")
    with pytest.raises(Unavailable):
        await world.add(world.a, PAGE)
    await world.add(world.a, PAGE + 1)
    assert [len(entries) for _, entries in await pages(world.a, "a")] == [PAGE, 1]


async def test_everyone_who_waits_is_told_of_a_failure(world):
    world.store.fail(Conflict("somebody else writes under this name"), key="index/a/0", times=2)
    outcomes = await asyncio.gather(*(world.a.add(Entry(created_at=NOON, id=str(each))) for each in range(3)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [Unavailable] * 3


async def test_one_who_no_longer_waits_disturbs_nobody(world):
    gone = world.a.add(Entry(created_at=NOON, id="1"))
    gone.durable.cancel()
    await world.add(world.a, 2)
    assert (await newest(world.a))[0] == [2, 1]


async def test_a_replica_that_cannot_be_registered_is_told(world):
    for _ in range(20):
        world.store.fail(Conflict("somebody was faster"), key="index")
    with pytest.raises(Unavailable, match="could not take the replica a"):
        await world.add(world.a, 1)


async def test_a_page_that_cannot_be_read_is_told_too(world):
    await world.add(world.a, 1)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    stored = await world.store.get("index/a/0")
    assert stored is not None
    await world.store.save("index/a/0", b"{}", stored.etag)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(world.replica("a").add(Entry(created_at=NOON, id="2")), 0.2)


async def test_a_replica_that_stopped_before_its_first_page_is_no_trouble(world):
    world.store.fail(Unavailable("down"), key="index/b")
    with pytest.raises(Unavailable):
        await world.add(world.b, 1)
    await world.add(world.a, 2)
    assert list(await world.a.spans()) == ["a"]
    assert (await newest(world.a))[0] == [2]


# Lifetime.


async def test_pages_live_as_long_as_their_entries_are_of_interest(world):
    await world.a.add(Entry(created_at=NOON, id="1", due=NOON + MINUTE))
    world.clock.advance(KEEP + MINUTE - SECOND)
    assert (await newest(world.a))[0] == [1]
    world.clock.advance(SECOND)
    assert (await newest(world.a))[0] == []


async def test_after_its_pages_have_ended_an_index_goes_on(world):
    await world.add(world.a, *range(2 * PAGE))
    world.clock.advance(KEEP + MINUTE)
    again = world.replica("a")
    await world.add(again, *range(PAGE, 2 * PAGE + 5))
    assert (await newest(again))[0] == list(reversed(range(PAGE, 2 * PAGE + 5)))
    assert [len(entries) for _, entries in await pages(again, "a") if entries] == [PAGE, 5]


async def test_after_a_long_silence_an_index_goes_on(world):
    await world.add(world.a, 1)
    world.clock.advance(KEEP + MINUTE)
    await world.add(world.a, 2)
    assert (await newest(world.a))[0] == [2]
