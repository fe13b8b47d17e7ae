from __future__ import annotations

from datetime import timedelta

import pytest

from bridge import cloudevents, lifecycle
from bridge.auth import Signer
from bridge.context import Context
from bridge.deadletters import DeadLetters, DeadLetterSettings
from bridge.deadletters.replay import ReplayRequest
from bridge.errors import Unavailable
from bridge.index import Index
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Succeeded
from bridge.recorder import Recorder
from bridge.run import Run
from bridge.runs import RunStore
from bridge.settings import Settings
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import MINUTE, a_run

WEEK = timedelta(days=7)


class World:
    def __init__(self) -> None:
        clock = FakeClock()
        self.bus, store = MemoryBus(clock), MemoryStore(clock)
        index = Index(store, clock, name="deadletters", replica="a", keep=WEEK)
        self.letters = DeadLetters(store, self.bus, index, clock, DeadLetterSettings(WEEK, lease=MINUTE))
        sent = Index(store, clock, name="replies", replica="a", keep=WEEK)
        runs = RunStore(store, self.bus, Index(store, clock, name="index", replica="a", keep=WEEK), clock)
        context = Context(self.bus, clock, runs, self.letters, Signer(b"k" * 32), Settings(public_url="https://bridge.example"))
        self.recorder = Recorder(context, sent)


@pytest.fixture
def world() -> World:
    return World()


def ended(**attributes: str) -> Run:
    return lifecycle.finish(a_run(**attributes), "main", AttemptResult(-1, Succeeded.of(7)), Causation("result-1", NOON, MINUTE))


@pytest.mark.parametrize(("attributes", "topic"), [({}, "automation-replies"), ({"replytopic": "team-replies"}, "team-replies")])
async def test_the_reply_goes_where_the_request_wants_it(world, attributes, topic):
    await world.recorder.reply_if_ended(ended(**attributes), "result-1")
    (message,) = world.bus.published
    assert (message.topic, cloudevents.decode(message.body).data["output"]) == (topic, 7)


async def test_a_reply_that_the_bus_cannot_take_yet_is_told(world):
    world.bus.fail(Unavailable("down"))
    with pytest.raises(Unavailable):
        await world.recorder.reply_if_ended(ended(), "result-1")
    assert await world.letters.page(10, "") == ([], "")


async def test_a_reply_that_the_bus_refuses_for_good_is_kept_once_and_can_be_replayed(world):
    world.bus.unknown_topics.add("automation-replies")
    for _ in range(2):
        await world.recorder.reply_if_ended(ended(), "result-1")
    (letter,), _ = await world.letters.page(10, "")
    assert (letter.reason, letter.correlation_id, letter.topic) == ("ReplyUndeliverable", "order-1", "automation-replies")
    world.bus.unknown_topics.clear()
    await world.letters.replay(letter.id, ReplayRequest("root"))
    assert cloudevents.decode(world.bus.published[0].body).type == "automation.succeeded"
