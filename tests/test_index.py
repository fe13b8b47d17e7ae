from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Conflict, Malformed
from bridge.index import PAGE, Cursor, Entry
from bridge.testing import NOON
from tests.core_kit import MINUTE, moderate
from tests.index_kit import World, newest, paged, pages


@pytest.fixture
def world() -> World:
    return World()


# Reading.


async def test_an_empty_index_has_no_entries(world):
    assert await newest(world.a) == ([], "")
    assert await pages(world.a, "a") == []


async def test_an_entry_comes_back_as_it_was_added(world):
    entry = Entry(created_at=NOON, id="order-1", subject="report", due=NOON + MINUTE)
    await world.a.add(entry)
    assert [batch.entries async for batch in world.b.newest()] == [[entry]]


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


@moderate
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=10), st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_a_list_that_stops_anywhere_and_goes_on_shows_every_entry_once(writers, limits):
    async def check() -> None:
        world = World()
        for number, name in enumerate(writers):
            await world.add(world.replica(name), number)
        seen, cursor = await newest(world.a, limits[0])
        for limit in itertools.cycle(limits):
            if not cursor:
                break
            more, cursor = await newest(world.a, limit, cursor)
            seen += more
        assert seen == list(reversed(range(len(writers))))

    asyncio.run(check())


async def test_a_long_list_reads_several_pages_at_a_time_and_misses_none(world):
    await world.add(world.a, *range(0, 20 * PAGE, 2))
    await world.add(world.b, *range(1, 7 * PAGE, 2))
    expected = sorted([*range(0, 20 * PAGE, 2), *range(1, 7 * PAGE, 2)], reverse=True)
    assert await newest(world.a) == (expected, "")
    assert [each async for page in paged(world.a, 333) for each in page] == expected


async def test_a_list_from_the_end_shows_nothing_that_came_later(world):
    await world.add(world.a, 1, 2)
    end = await world.a.end()
    await world.add(world.a, 3)
    await world.add(world.b, 4)
    assert await newest(world.a, None, end.write()) == ([2, 1], "")


async def test_a_list_from_the_end_of_nothing_is_empty(world):
    end = await world.a.end()
    await world.add(world.a, 1)
    assert await newest(world.a, None, end.write()) == ([], "")


# Walks of the sweeper.


async def test_a_bookmark_is_where_the_next_process_finds_it(world):
    assert await world.a.bookmarks(["a", "b"]) == [0, 0]
    await world.a.bookmark("b", 7)
    assert await world.b.bookmarks(["a", "b"]) == [0, 7]


async def test_of_two_bookmarks_the_one_further_on_counts(world):
    await world.a.bookmark("a", 7)
    await world.b.bookmark("a", 5)
    await world.b.bookmark("a", 9)
    assert await world.a.bookmarks(["a"]) == [9]


async def test_a_bookmark_that_somebody_else_keeps_at_the_same_time_is_no_trouble(world):
    world.store.fail(Conflict("somebody was faster"), key="index/a/bookmark")
    await world.a.bookmark("a", 7)
    assert await world.a.bookmarks(["a"]) == [0]
