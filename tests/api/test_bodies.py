"""The bodies of all requests under way have a bounded size together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bridge.api import bodies
from bridge.api.bodies import SMALL, BodiesInHand
from bridge.errors import Full

KIB = 1024


class Place:
    """An application that reads bodies and keeps them in hand until it is told to answer."""

    def __init__(self, most: int, *, release: bool = False) -> None:
        self.counted = BodiesInHand(self._app, most)
        self.answer, self.read = asyncio.Event(), 0
        self._release = release

    async def _app(self, scope: Any, receive: Callable[[], Any], _send: Any) -> None:
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
        self.read += 1
        if self._release:
            bodies.release(scope)
        await self.answer.wait()

    def ask(self, *parts: int, announced: int | None = None, method: str = "POST") -> asyncio.Task[None]:
        """A request whose body comes in parts of these sizes; with `announced` its head says how long it is."""
        headers = [] if announced is None else [(b"content-length", str(announced).encode())]
        messages = [{"type": "http.request", "body": bytes(part), "more_body": True} for part in parts]
        messages.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> Any:
            return messages.pop(0)

        async def send(_message: Any) -> None: ...

        return asyncio.create_task(self.counted({"type": "http", "method": method, "headers": headers}, receive, send))  # type: ignore[arg-type]  # coroutine of None


async def settled(*tasks: asyncio.Task[None]) -> list[bool]:
    """Whether each request was refused, after all have got as far as they get."""
    for _ in range(20):
        await asyncio.sleep(0)
    return [task.done() and isinstance(task.exception(), Full) for task in tasks]


async def finish(place: Place, *tasks: asyncio.Task[None]) -> None:
    place.answer.set()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("announced", [True, False])
async def test_what_is_more_than_there_may_be_is_refused_and_taken_when_there_is_room_again(announced: bool) -> None:
    place = Place(250 * KIB)
    length = 100 * KIB if announced else None
    first = [place.ask(50 * KIB, 50 * KIB, announced=length) for _ in range(3)]
    assert await settled(*first) == [False, False, True]
    await finish(place, *first)
    second = [place.ask(50 * KIB, 50 * KIB, announced=length) for _ in range(2)]
    assert await settled(*second) == [False, False]


async def test_an_announced_body_is_refused_before_any_of_it_is_read() -> None:
    place = Place(100 * KIB)
    whole, refused = place.ask(60 * KIB, announced=60 * KIB), place.ask(60 * KIB, announced=60 * KIB)
    assert await settled(whole, refused) == [False, True]
    assert place.read == 1
    await finish(place, whole)


async def test_small_bodies_are_taken_although_large_ones_leave_no_room() -> None:
    place = Place(100 * KIB)
    large = place.ask(100 * KIB)
    small = [place.ask(SMALL) for _ in range(50)]
    assert await settled(large, *small) == [False] * 51
    await finish(place, large, *small)


async def test_a_body_that_is_of_no_more_use_makes_room_although_its_answer_is_not_there() -> None:
    place = Place(100 * KIB, release=True)
    one, other = place.ask(100 * KIB), place.ask(100 * KIB)
    assert await settled(one, other) == [False, False]
    await finish(place, one, other)


async def test_a_body_that_is_longer_than_its_head_says_counts_as_it_is() -> None:
    place = Place(100 * KIB)
    assert await settled(place.ask(60 * KIB, 60 * KIB, announced=10)) == [True]


async def test_a_refusal_says_when_to_come_back_and_leaves_nothing_counted() -> None:
    place = Place(100 * KIB)
    refused = place.ask(101 * KIB)
    with pytest.raises(Full, match="max_bodies_in_hand allows 102,400") as told:
        await refused
    assert told.value.retry_after > 0
    assert await settled(place.ask(100 * KIB)) == [False]
