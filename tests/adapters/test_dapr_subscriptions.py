"""Which handler takes a message, and what becomes of it when the bridge stops."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.dapr.subscriptions import SubscriptionRegistry
from bridge.errors import Undeliverable
from bridge.ports import Ack

SOURCE, ROUTE = "topic/bridge", "/deliveries/topic/bridge"


@pytest.fixture
def registry() -> SubscriptionRegistry:
    return SubscriptionRegistry(frozenset({SOURCE}))


async def test_only_sources_that_exist_can_have_a_handler(registry, inbox):
    with pytest.raises(Undeliverable, match="no/such"):
        registry.register("no/such", inbox, concurrency=1)


async def test_a_message_before_its_handler_comes_again(registry):
    assert await registry.handle(ROUTE, b"event", ()) is Ack.RETRY


async def test_what_runs_may_end_while_it_closes_and_nothing_new_starts(registry):
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_):
        started.set()
        await go_on.wait()
        return Ack.DONE

    registry.register(SOURCE, slow, concurrency=1)
    running, waiting = (asyncio.create_task(registry.handle(ROUTE, b"event", ())) for _ in range(2))
    await started.wait()
    closing = asyncio.create_task(registry.close(10))
    await asyncio.sleep(0)
    go_on.set()
    assert [await running, await waiting] == [Ack.DONE, Ack.RETRY]
    await closing


async def test_what_still_runs_after_that_comes_again(registry):
    started = asyncio.Event()

    async def endless(_):
        started.set()
        await asyncio.Event().wait()

    registry.register(SOURCE, endless, concurrency=1)
    running = asyncio.create_task(registry.handle(ROUTE, b"event", ()))
    await started.wait()
    await registry.close(0)
    assert await running is Ack.RETRY


async def test_a_handler_that_nobody_waits_for_any_more_goes_on(registry):
    """The sidecar may hang up; what was begun ends all the same."""
    ended, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_):
        await go_on.wait()
        ended.set()
        return Ack.DONE

    registry.register(SOURCE, slow, concurrency=1)
    delivery = asyncio.create_task(registry.handle(ROUTE, b"event", ()))
    await asyncio.sleep(0)
    delivery.cancel()
    go_on.set()
    await asyncio.wait_for(ended.wait(), 20)
