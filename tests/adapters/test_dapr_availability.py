"""A component that is known to be away costs nobody a wait, and is used again as soon as it answers."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.dapr import availability
from bridge.adapters.dapr.availability import Availability
from bridge.errors import Unavailable


@pytest.fixture
def store(monkeypatch) -> Availability:
    monkeypatch.setattr(availability, "SLOW", 0.05)
    return Availability("store")


async def works() -> None: ...


async def fails() -> None:
    raise Unavailable("connection refused")


async def hangs() -> None:
    await asyncio.Event().wait()


async def used(store: Availability, request: asyncio.Event | None = None) -> str:
    """What a request comes to."""
    try:
        async with store.required():
            if request is not None:
                await request.wait()
    except Unavailable as error:
        return error.detail
    return "done"


@pytest.mark.parametrize(("check", "why"), [(fails, "connection refused"), (hangs, "gives no answer within 0.05 s")])
async def test_requests_end_at_once_after_a_check_that_failed(store, check, why):
    assert await used(store) == "done"
    await store.check(check)
    assert await used(store, asyncio.Event()) == f"The store is away: {why}"


async def test_requests_under_way_end_too_and_all_of_them(store):
    waiting = [asyncio.create_task(used(store, asyncio.Event())) for _ in range(3)]
    await asyncio.sleep(0)
    await store.check(fails)
    assert set(await asyncio.wait_for(asyncio.gather(*waiting), 20)) == {"The store is away: connection refused"}


async def test_a_check_that_succeeds_opens_it_again(store):
    await store.check(fails)
    await store.check(works)
    assert await used(store) == "done"


async def test_a_check_that_began_earlier_does_not_undo_the_success_of_a_later_one(store):
    earlier = asyncio.create_task(store.check(hangs))
    await asyncio.sleep(0)
    await store.check(works)
    await earlier
    assert await used(store) == "done"


async def test_a_timeout_of_the_request_itself_is_not_taken_for_an_absence(store):
    with pytest.raises(TimeoutError):
        async with store.required():
            raise TimeoutError


async def test_a_request_that_is_cancelled_is_cancelled(store):
    task = asyncio.create_task(used(store, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.check(fails)


async def test_each_absence_and_its_end_is_logged_once(store, caplog):
    caplog.set_level("INFO")
    for check in (fails, hangs, works, works):
        await store.check(check)
    said = [record.message for record in caplog.records if record.name.startswith("bridge")]
    assert said == ["the store is away: connection refused", "the store is there again"]
