"""No run is left without its reply, whoever is given the last delivery of an event that another process has in hand.

A bus gives an event to another replica when the sidecar of the first one ends, or when its lock does. The first one goes on all the same,
may end the run with that event, and may be gone before it replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.app import Bridge, assemble
from bridge.auth import LOCAL
from bridge.errors import Unavailable
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Message
from bridge.run import Status
from bridge.testing import MemoryBus, MemoryRuntime, MemoryStore, json_answer
from tests.pipeline_kit import World, message, world

REQUESTS = "automation-requests/bridge"


@dataclass
class Two:
    """Two replicas on one bus and one store."""

    world: World
    first: Bridge
    second: Bridge

    async def give(self, bridge: Bridge) -> Ack:
        """Give the request to this replica."""
        return await bridge.pipeline.subscriptions()[REQUESTS](Delivery(REQUESTS, message(self.world, "requested")))

    @asynccontextmanager
    async def in_hand(self) -> AsyncIterator[asyncio.Event]:
        """The first replica has the request in hand and calls the function, which answers when the event is set."""
        called, answers = asyncio.Event(), asyncio.Event()

        async def answer(_: FunctionCall) -> FunctionResponse:
            called.set()
            await answers.wait()
            return json_answer("late")

        self.world.functions.answers["/api/one"] = [answer]
        await self.world.request("one")
        calling = asyncio.create_task(self.give(self.first))
        await asyncio.wait_for(called.wait(), 20)
        yield answers
        answers.set()
        await calling

    @asynccontextmanager
    async def without_replies(self) -> AsyncIterator[None]:
        """As if the process ended where it would reply."""
        publish = self.world.bus.publish

        async def refuse(messages: Sequence[Message]) -> None:
            if any(each.topic == "automation-replies" for each in messages):
                raise Unavailable("The process ends here.")
            await publish(messages)

        self.world.bus.publish = refuse  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.world.bus.publish = publish  # type: ignore[method-assign]

    @property
    def replies(self) -> int:
        return sum(each.topic == "automation-replies" for each in self.world.bus.published)


@pytest.fixture
async def two(tmp_path: Path) -> Two:
    made = await world(tmp_path)
    made.bus = MemoryBus(made.clock)  # nobody is subscribed: each test gives the deliveries
    made.store = MemoryStore(made.clock, shared=True)
    first, second = (
        assemble(made.settings, made.plans, MemoryRuntime(made.bus, made.store, made.functions, replica=name), made.clock)
        for name in ("first", "second")
    )
    made.bridge = second
    return Two(made, first, second)


async def test_after_the_deadline_the_run_is_ended_by_the_delivery_itself(two: Two) -> None:
    async with two.in_hand():
        two.world.clock.advance(timedelta(seconds=61))
        assert await two.give(two.second) is Ack.DONE
        assert ((await two.world.run()).status, two.replies) == (Status.TIMED_OUT, 1)
    assert (await two.world.run()).status is Status.TIMED_OUT


async def test_a_run_that_is_being_canceled_is_looked_at_again_when_the_call_in_hand_is_over(two: Two) -> None:
    async with two.without_replies(), two.in_hand():
        await two.second.services.bridge.cancel("id-1", LOCAL)
        before = len(two.world.bus.published)
        assert await two.give(two.second) is Ack.DONE
        (again,) = two.world.bus.published[before:]
        assert (again.body, again.topic) == (message(two.world, "requested").body, "automation-requests")
    assert (await two.world.run()).status.final
    await two.second.pipeline.subscriptions()[REQUESTS](Delivery(REQUESTS, again))
    assert two.replies == 1


async def test_work_that_ends_when_it_is_published_is_replied_to_by_who_has_not_seen_its_end(two: Two) -> None:
    await two.world.request("published")
    async with two.without_replies():
        assert await two.give(two.first) is Ack.RETRY
    assert (await two.second.services.bridge.find("id-1", LOCAL)).status is Status.SUCCEEDED
    assert (await two.give(two.second), two.replies) == (Ack.DONE, 1)


async def test_what_was_ended_with_the_request_is_replied_to_by_the_work_that_a_replica_without_room_has_published(two: Two) -> None:
    """The replica without room is done with the request, which is the same message that the first one has in hand."""
    async with two.without_replies(), two.in_hand():
        two.second.pipeline._http_targets._working = 1_000
        assert await two.give(two.second) is Ack.DONE
    two.world.clock.advance(timedelta(seconds=15))
    work, source = message(two.world, "invoked"), "automation-invocations/bridge"
    assert (await two.second.pipeline.subscriptions()[source](Delivery(source, work)), two.replies) == (Ack.DONE, 1)
