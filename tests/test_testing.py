from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.errors import CallFailed, Conflict, Unavailable, Undeliverable
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Message, Stored
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore, ScriptedFunctions, json_answer
from tests.core_kit import SECOND


class Inbox:
    """A handler that keeps what it gets and answers in turn, then DONE."""

    def __init__(self, *answers: Ack | Exception) -> None:
        self.came: list[Delivery] = []
        self.answers = list(answers)

    async def __call__(self, delivery: Delivery) -> Ack:
        self.came.append(delivery)
        answer = self.answers.pop(0) if self.answers else Ack.DONE
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_time_stands_still_until_it_is_moved(clock):
    assert clock.now() == clock.now() == NOON
    await clock.sleep(2)
    clock.advance(SECOND)
    assert clock.now() == NOON + 3 * SECOND


async def test_a_store_keeps_versions_and_lets_nobody_overwrite_another(clock):
    store = MemoryStore(clock)
    first = await store.create("k", b"1")
    second = await store.save("k", b"2", first)
    assert await store.get_many(["k", "none"]) == [Stored(b"2", second), None]
    for write in (store.create("k", b"3"), store.save("k", b"3", first), store.save("none", b"3", first)):
        with pytest.raises(Conflict):
            await write


async def test_a_key_ends_with_its_time_to_live(clock):
    store = MemoryStore(clock)
    etag = await store.create("k", b"1", SECOND)
    assert store.stored_keys() == ["k"]
    clock.advance(SECOND)
    assert (await store.get("k"), store.stored_keys()) == (None, [])
    with pytest.raises(Conflict):
        await store.save("k", b"2", etag)
    await store.create("k", b"3")


@pytest.mark.parametrize("written", [False, True])
async def test_a_store_fails_as_it_is_told(clock, written):
    store = MemoryStore(clock)
    store.fail(Unavailable("down"), key="a", written=written)
    await store.create("b", b"1")
    with pytest.raises(Unavailable):
        await store.create("a", b"1")
    assert ((await store.get("a")) is not None) is written


async def test_every_subscription_of_a_topic_gets_its_messages(clock):
    bus, one, two, other = MemoryBus(clock), Inbox(), Inbox(), Inbox()
    for source, inbox in (("t/one", one), ("t/two", two), ("tt/one", other)):
        await bus.subscribe(source, inbox, concurrency=1)
    await bus.publish([Message("t", b"1")])
    assert await bus.deliver() == 2
    assert [(each.source, each.attempt, each.enqueued_at) for each in one.came + two.came] == [("t/one", 1, NOON), ("t/two", 1, NOON)]
    assert other.came == bus.waiting == []


@pytest.mark.parametrize("trouble", [Ack.RETRY, RuntimeError("broken")])
async def test_what_met_trouble_comes_back_in_the_next_round(clock, trouble):
    bus, inbox = MemoryBus(clock), Inbox(trouble)
    await bus.subscribe("queue", inbox, concurrency=1)
    await bus.publish([Message("queue", b"1")])
    assert [await bus.deliver() for _ in range(3)] == [1, 1, 0]
    assert [each.attempt for each in inbox.came] == [1, 2]


async def test_a_message_for_later_waits_for_its_time(clock):
    bus, inbox = MemoryBus(clock), Inbox()
    await bus.publish([Message("queue", b"1", deliver_at=NOON + SECOND)])
    await bus.subscribe("queue", inbox, concurrency=1)
    assert await bus.deliver() == 0
    clock.advance(timedelta(seconds=1))
    assert await bus.deliver() == 1


async def test_a_bus_refuses_and_fails_as_it_is_told(clock):
    bus = MemoryBus(clock)
    bus.unknown_topics.add("nowhere")
    with pytest.raises(Undeliverable):
        await bus.publish([Message("queue", b"1"), Message("nowhere", b"1")])
    bus.fail(Unavailable("down"))
    with pytest.raises(Unavailable):
        await bus.publish([Message("queue", b"1")])
    assert bus.published == bus.waiting == []


async def test_functions_answer_as_scripted_and_the_last_answer_stays():
    async def echoes(call: FunctionCall) -> FunctionResponse:
        return json_answer(call.body.decode(), 201)

    functions = ScriptedFunctions({"/a": [CallFailed("Timeout", "no answer", may_have_run=True), echoes]})
    call = FunctionCall("app", "POST", "/a", b"x", {}, SECOND)
    with pytest.raises(CallFailed):
        await functions.call(call)
    assert [(await functions.call(call)).status for _ in range(2)] == [201, 201]
    with pytest.raises(CallFailed, match="No answer is scripted for /b"):
        await functions.call(FunctionCall("app", "GET", "/b", b"", {}, SECOND))
    assert len(functions.calls) == 4
