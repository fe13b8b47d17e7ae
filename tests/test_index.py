from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Conflict, Malformed, Unavailable
from bridge.index import PAGE, Cursor, Entry, Index
from bridge.testing import NOON, FakeClock, MemoryStore
from tests.core_kit import MINUTE, SECOND, moderate

KEEP = timedelta(days=7)


class World:
    """One store that several replicas write to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.a = self.replica("a")
        self.b = self.replica("b")

    def replica(self, name: str) -> Index:
        return Index(self.store, self.clock, name="index", replica=name, keep=KEEP)

    async def add(self, index: Index, *ids: int) -> None:
        """Entries whose ids are also the seconds of their time, all at once."""
        await asyncio.gather(*(index.add(Entry(created_at=NOON + timedelta(seconds=each), id=str(each))) for each in ids))


@pytest.fixture
def world() -> World:
    return World()


async def newest(index: Index, limit: int | None = None, cursor: str = "") -> tuple[list[int], str]:
    """The ids of one page and the cursor that continues."""
    seen: list[int] = []
    async for entry, reached in index.newest(cursor):
        seen.append(int(entry.id))
        if len(seen) == limit:
            return seen, reached.write()
    return seen, ""


async def paged(index: Index, limit: int) -> AsyncIterator[list[int]]:
    cursor = ""
    while True:
        seen, cursor = await newest(index, limit, cursor)
        yield seen
        if not cursor:
            return


# Reading.


async def test_an_empty_index_has_no_entries(world):
    assert await newest(world.a) == ([], "")
    assert [page async for page in world.a.pages("a")] == []


async def test_an_entry_comes_back_as_it_was_added(world):
    entry = Entry(created_at=NOON, id="order-1", subject="report", due=NOON + MINUTE)
    await world.a.add(entry)
    assert [each async for each, _ in world.b.newest()] == [entry]


async def test_entries_of_all_replicas_come_newest_first(world):
    await world.add(world.a, 1, 4, 5)
    await world.add(world.b, 2, 3, 6)
    assert await newest(world.replica("c")) == ([6, 5, 4, 3, 2, 1], "")


@moderate
@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 5))
def test_pages_of_any_size_show_every_entry_once(writers, limit):
    async def check() -> None:
        world = World()
        replicas = {name: world.replica(name) for name in "abc"}
        for number, name in enumerate(writers):
            await world.add(replicas[name], number)
        assert [each async for page in paged(world.a, limit) for each in page] == list(reversed(range(len(writers))))

    asyncio.run(check())


@moderate
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=8), st.lists(st.sampled_from("ab"), max_size=4), st.integers(1, 3))
def test_a_cursor_continues_without_loss_or_repeat_while_entries_are_added(before, later, limit):
    async def check() -> None:
        world = World()
        for number, name in enumerate(before):
            await world.add(world.replica(name), number)
        seen, cursor = await newest(world.a, limit)
        for number, name in enumerate(later):
            await world.add(world.replica(name), 100 + number)
        more, _ = await newest(world.a, None, cursor) if cursor else ([], "")
        assert [each for each in seen + more if each < 100] == list(reversed(range(len(before))))

    asyncio.run(check())


async def test_what_came_after_the_first_page_does_not_show_on_the_next(world):
    await world.add(world.a, 1, 2, 3)
    await world.add(world.b, 0)
    _, cursor = await newest(world.a, 1)
    await world.add(world.b, 9)
    assert await newest(world.a, None, cursor) == ([2, 1, 0], "")


@pytest.mark.parametrize("cursor", ["x", "!!!", "é", "e30x", "W10", "eyJhIjpbMSwtMV19", "eyJhIjoxfQ", "A" * 100_000])
async def test_a_cursor_that_was_made_up_is_refused_with_what_to_do(world, cursor):
    with pytest.raises(Malformed, match=r"not given by this bridge\. Start without a cursor"):
        await newest(world.a, None, cursor)


@moderate
@given(st.text(max_size=20))
def test_any_text_is_a_cursor_or_refused(text):
    try:
        cursor = Cursor.read(text)
    except Malformed:
        return
    assert Cursor.read(cursor.write()) == cursor


@moderate
@given(st.dictionaries(st.text(max_size=5), st.tuples(st.integers(0, 2**40), st.integers(0, PAGE)), max_size=3))
def test_a_cursor_comes_back_as_it_was_written_and_fits_a_url(positions):
    text = Cursor(positions).write()
    assert Cursor.read(text).positions == positions
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(("positions", "shown"), [({"a": (99, 99)}, [2, 1]), ({"a": (0, 1)}, [1]), ({"nobody": (0, 0)}, []), ({}, [])])
async def test_a_cursor_beyond_what_there_is_shows_what_there_is(world, positions, shown):
    await world.add(world.a, 1, 2)
    assert await newest(world.a, None, Cursor(positions).write()) == (shown, "")


# Writing.


async def test_entries_that_wait_together_go_into_one_write(world):
    await world.add(world.a, 0)
    before = world.store.calls["save"]
    await world.add(world.a, *range(1, PAGE))
    assert world.store.calls["save"] == before + 1


async def test_pages_turn_when_they_are_full(world):
    for start in range(0, 5 * PAGE, PAGE // 2):
        await world.add(world.a, *range(start, start + PAGE // 2))
    assert [(number, len(entries)) async for number, entries in world.a.pages("a")] == [(number, PAGE) for number in range(5)]
    assert (await newest(world.b))[0] == list(reversed(range(5 * PAGE)))


async def test_more_than_a_page_at_once_is_spread_over_pages(world):
    await world.add(world.a, *range(2 * PAGE + 7))
    assert [len(entries) async for _, entries in world.a.pages("a")] == [PAGE, PAGE, 7]


async def test_pages_are_read_from_any_of_them(world):
    await world.add(world.a, *range(3 * PAGE))
    assert [number async for number, _ in world.a.pages("a", 1)] == [1, 2]
    assert [number async for number, _ in world.a.pages("a", 9)] == []


async def test_replicas_find_each_other_even_when_they_start_together(world):
    await asyncio.gather(*(world.add(world.replica(f"r{number}"), number) for number in range(5)))
    assert sorted(await world.a.replicas()) == ["r0", "r1", "r2", "r3", "r4"]


async def test_a_restart_goes_on_where_it_stopped(world):
    await world.add(world.a, *range(PAGE - 1))
    again = world.replica("a")
    await world.add(again, PAGE - 1)
    await world.add(again, PAGE)
    assert [len(entries) async for _, entries in again.pages("a")] == [PAGE, 1]
    assert await world.a.replicas() == ["a"]


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
    assert [len(entries) async for _, entries in world.a.pages("a")] == [PAGE, 1]


async def test_everyone_who_waits_is_told_of_a_failure(world):
    world.store.fail(Conflict("somebody else writes under this name"), key="index/a/0", times=2)
    outcomes = await asyncio.gather(*(world.a.add(Entry(created_at=NOON, id=str(each))) for each in range(3)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [Unavailable] * 3


async def test_one_who_no_longer_waits_disturbs_nobody(world):
    gone = world.a.add(Entry(created_at=NOON, id="1"))
    gone.cancel()
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
    assert sorted(await world.a.replicas()) == ["a", "b"]
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
    assert [len(entries) async for _, entries in again.pages("a") if entries] == [PAGE, 5]


async def test_after_a_long_silence_an_index_goes_on(world):
    await world.add(world.a, 1)
    world.clock.advance(KEEP + MINUTE)
    await world.add(world.a, 2)
    assert (await newest(world.a))[0] == [2]
