from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import timeslices
from bridge.timeslices import TimeSlices
from tests.core_kit import moderate


async def sizes(of: TimeSlices, count: int) -> list[int]:
    """How large the pieces of a walk over so many records were."""
    found = []
    for piece in of.pieces(range(count)):
        found.append(len(piece))
        await of.rest()
    return found


@moderate
@given(st.lists(st.integers(), max_size=300))
def test_the_pieces_are_the_whole(records):
    async def check() -> None:
        walk, seen = TimeSlices(), []
        for piece in walk.pieces(records):
            seen += piece
            await walk.rest()
        assert seen == records

    asyncio.run(check())


async def test_pieces_of_cheap_records_grow_and_have_a_limit(monkeypatch):
    monkeypatch.setattr(timeslices, "SLICE", 1_000.0)
    assert await sizes(TimeSlices(), 400) == [10, 20, 40, 80, 100, 100, 50]


async def test_pieces_of_costly_records_shrink_and_never_to_nothing(monkeypatch):
    monkeypatch.setattr(timeslices, "SLICE", -1.0)
    assert await sizes(TimeSlices(), 30) == [10, 5, 5, 5, 5]


async def test_a_piece_is_never_larger_than_what_is_wanted(monkeypatch):
    monkeypatch.setattr(timeslices, "SLICE", 1_000.0)
    of, found = TimeSlices(), []
    for piece in of.pieces(range(25), lambda: 25 - sum(found)):
        found.append(len(piece))
        await of.rest()
    assert found == [10, 15]


@pytest.mark.parametrize("share", [1.0, 0.25])
async def test_others_come_between_two_pieces(share):
    order: list[str] = []

    async def walk() -> None:
        own = TimeSlices(share)
        for _ in own.pieces(range(25)):
            order.append("piece")
            await own.rest()

    async def other() -> None:
        while "piece" not in order:
            await asyncio.sleep(0)
        order.append("other")

    await asyncio.gather(walk(), other())
    assert order.index("other") == 1
