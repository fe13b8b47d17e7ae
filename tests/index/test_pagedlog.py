"""The log on pages, with entries of another kind than the index has; what the index promises is in test_index.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Conflict, Unavailable
from bridge.index.pagedlog import PAGE, JsonPageCodec, LogReader, PagedLog, Roster, Span, write
from bridge.testing import FakeClock, MemoryStore
from tests.core_kit import moderate


class Lines:
    """Entries that are text, one a line."""

    def dump(self, entries: Sequence[str]) -> bytes:
        return "\n".join(entries).encode()

    def load(self, value: bytes) -> list[str]:
        return value.decode().split("\n")


class World:
    def __init__(self) -> None:
        self.store = MemoryStore(FakeClock())
        self.opened = 0

    def log(self) -> PagedLog[str]:
        async def opening() -> None:
            self.opened += 1

        return PagedLog(self.store, "log", Lines(), lifetime=lambda _: timedelta(days=1), opening=opening)

    async def all(self, ahead: int = 1) -> list[str]:
        reader = LogReader(self.store, "log", Lines())
        span = await reader.span()
        numbers = range(span.first, span.last + 1) if span else range(0)
        return [entry async for _, entries in reader.pages(numbers, ahead) for entry in entries]


@pytest.fixture
def world() -> World:
    return World()


@moderate
@given(st.lists(st.integers(0, 2 * PAGE), max_size=6), st.integers(1, 8))
def test_what_was_added_is_read_in_its_order(additions, ahead):
    async def check() -> None:
        world, expected = World(), []
        log = world.log()
        for number, count in enumerate(additions):
            added = [f"{number}-{each}" for each in range(count)]
            await asyncio.gather(*(log.add(each) for each in added))
            expected += added
        assert await world.all(ahead) == expected

    asyncio.run(check())


async def test_a_log_is_made_known_before_its_first_page_exists(world):
    assert await LogReader(world.store, "log", Lines()).span() is None
    await world.log().add("a")
    assert (world.opened, await LogReader(world.store, "log", Lines()).span()) == (1, Span(0, 0))


async def test_a_page_whose_time_is_over_has_no_entries(world):
    assert [page async for page in LogReader(world.store, "log", Lines()).pages(range(2))] == [(0, []), (1, [])]


async def test_an_entry_that_msgspec_knows_needs_no_codec_of_its_own():
    codec = JsonPageCodec(int)
    assert codec.load(codec.dump([1, 2])) == [1, 2]
    assert codec.load(b'{"entries":[3]}') == [3]


async def test_everybody_on_a_roster_stands_there_once(world):
    roster = Roster(world.store, "names")
    await asyncio.gather(*(roster.join(name) for name in "abab"))
    assert sorted(await roster.names()) == ["a", "b"]


@pytest.mark.parametrize("error", [Unavailable("lost"), Conflict("lost")])
async def test_a_write_counts_if_its_value_stands_there(world, error):
    world.store.fail(error, written=True)
    etag = await write(world.store, "key", b"1", "")
    world.store.fail(error, written=True)
    await write(world.store, "key", b"2", etag)
    world.store.fail(error)
    with pytest.raises(type(error)):
        await write(world.store, "another key", b"3", "")
