from __future__ import annotations

from datetime import timedelta

import pytest

from bridge import envelope, lifecycle
from bridge.deadletters import DeadLetters, Terms
from bridge.errors import Unavailable
from bridge.index import Index
from bridge.lifecycle import Cause, Tried
from bridge.outcome import Succeeded
from bridge.replay import Wish
from bridge.replies import Replies
from bridge.run import Run
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import MINUTE, a_run

WEEK = timedelta(days=7)


class World:
    def __init__(self) -> None:
        clock = FakeClock()
        self.bus, store = MemoryBus(clock), MemoryStore(clock)
        index = Index(store, clock, name="deadletters", replica="a", keep=WEEK)
        self.letters = DeadLetters(store, self.bus, index, clock, Terms(WEEK, lease=MINUTE))
        self.sent = Index(store, clock, name="replies", replica="a", keep=WEEK)
        self.replies = Replies(self.bus, self.letters, self.sent, clock, public_url="https://bridge.example")


@pytest.fixture
def world() -> World:
    return World()


def ended(**attributes: str) -> Run:
    return lifecycle.finish(a_run(**attributes), "main", Tried(-1, Succeeded(7)), Cause("result-1", NOON, MINUTE))


@pytest.mark.parametrize(("attributes", "topic"), [({}, "automation-replies"), ({"replytopic": "team-replies"}, "team-replies")])
async def test_the_reply_goes_where_the_request_wants_it(world, attributes, topic):
    await world.replies.send(ended(**attributes))
    (message,) = world.bus.published
    assert (message.topic, envelope.decode(message.body).data["output"]) == (topic, 7)


async def test_a_reply_that_the_bus_cannot_take_yet_is_told(world):
    world.bus.fail(Unavailable("down"))
    with pytest.raises(Unavailable):
        await world.replies.send(ended())
    assert await world.letters.page(10, "") == ([], "")


async def test_a_reply_that_the_bus_refuses_for_good_is_kept_once_and_can_be_replayed(world):
    world.bus.unknown_topics.add("automation-replies")
    for _ in range(2):
        await world.replies.send(ended())
    (letter,), _ = await world.letters.page(10, "")
    assert (letter.reason, letter.correlation_id, letter.topic) == ("ReplyUndeliverable", "order-1", "automation-replies")
    world.bus.unknown_topics.clear()
    await world.letters.replay(letter.id, Wish("root"))
    assert envelope.decode(world.bus.published[0].body).type == "automation.succeeded"
