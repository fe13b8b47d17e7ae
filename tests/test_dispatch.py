"""What of a request the bus has to carry, and what becomes of a request that it cannot carry (`max_event_bytes`)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch

from bridge import events
from bridge.cloudevents import Event
from bridge.deadletters.replay import ReplayRequest
from bridge.errors import TooLarge, Undeliverable
from bridge.events import Submission
from bridge.ports import Ack, Delivery, Message
from bridge.run import Run, Status
from bridge.settings import Settings
from bridge.settings.values import AROUND_EVENT, LEAST_EVENT_BYTES
from tests import pipeline_kit
from tests.pipeline_kit import World

MOST = LEAST_EVENT_BYTES
STANDARD = 256 * 1024  #: bytes of a message of Service Bus Standard with all that is around its body
FOREIGN = MOST + AROUND_EVENT - 1_000  #: bytes of an event of another sender, who puts less around it than the bridge does
AUTOMATIONS = ["one", "two", "work", "mixed", "published"]
BARE = {"specversion": "1.0", "source": "/test", "type": "automation.requested"}


@pytest.fixture(params=[False, True], ids=["no outbox", "outbox"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = await pipeline_kit.world(tmp_path, outbox=request.param)
    made.settings = Settings(max_event_bytes=MOST, public_url="https://bridge.example.com")
    made.bus.largest = MOST + AROUND_EVENT
    return await made.start()


def largest(world: World) -> int:
    """Of the events that were published since the last look."""
    found = max(len(each.body) for each in world.bus.published)
    world.bus.published.clear()
    return found


def text(length: int) -> str:
    """An input that has this many bytes in JSON."""
    return "x" * (length - 2)


async def refused(world: World, automation: str, size: int, correlation_id: str) -> bool:
    """Whether an input of this size is refused; if not, its work is on the bus afterwards."""
    with suppress(TooLarge):
        await world.ask(automation, text(size), correlation_id)
        await world.bus.deliver()
        return False
    return True


@pytest.mark.parametrize("automation", AUTOMATIONS)
async def test_what_is_accepted_is_carried_and_what_cannot_be_carried_is_refused_at_the_door(world: World, automation: str) -> None:
    assert not await refused(world, automation, 1_000, "id-0")
    around = largest(world) - 1_000
    seen = set()
    for number, size in enumerate(range(MOST - around - 200, MOST - around + 200, 7), start=1):
        seen.add(was_refused := await refused(world, automation, size, f"id-{number}"))
        if was_refused:
            assert world.bus.published == []
            assert size + around > MOST - 200  # nothing is refused that would have had room, but for what times and a trace may add
        else:
            assert largest(world) <= MOST
            assert (await world.run(f"id-{number}")).error is None
    assert seen == {True, False}


async def test_a_refusal_says_how_large_it_is_and_what_to_do(world: World) -> None:
    with pytest.raises(TooLarge, match=r"25\d,?\d\d\d bytes.*(256,000 are allowed|too large)") as refusal:
        await world.ask("work", text(MOST - 100))
    assert refusal.value.status == 413
    assert refusal.value.hint == "Store the data elsewhere and send a reference to it."


async def test_a_refused_request_leaves_no_run_and_its_id_is_free(world: World) -> None:
    with pytest.raises(TooLarge, match="bytes"):
        await world.ask("work", text(MOST - 100))
    assert (await world.ask("work", "small")).created


@pytest.mark.parametrize("automation", AUTOMATIONS)
async def test_an_event_of_a_topic_whose_work_is_too_large_becomes_a_run_that_ended_with_the_reason(world: World, automation: str) -> None:
    requested = events.requested(Event({**BARE, "id": "id-1", "subject": automation}, text(MOST - 200)))
    assert len(requested.body) <= MOST
    await world.bus.publish([requested])
    await world.bus.deliver()
    run = await world.run()
    if automation == "published":  # whose message is the input alone
        assert run.error is None
        return
    assert run.error is not None
    assert (run.status, run.error.code) == (Status.FAILED, "TooLarge")
    assert "256,000 are allowed" in run.error.message or "too large" in run.error.message
    assert world.sent("failed") == [events.reply_id("id-1", run.created_at)]


async def test_a_long_id_of_the_request_counts_because_the_work_names_it(world: World) -> None:
    attributes = {**BARE, "id": "\u0001" * 1_000 + "i" * 20_000, "correlationid": "id-1", "subject": "work"}
    around = len(events.requested(Event(attributes, text(1_000))).body) - 1_000
    await world.bus.publish([events.requested(Event(attributes, text(MOST - around)))])
    await world.bus.deliver()
    run = await world.run()
    assert run.error is not None
    assert (run.status, run.error.code) == (Status.FAILED, "TooLarge")


async def test_a_rerun_is_held_against_the_same_limit(world: World) -> None:
    await world.ask("one", "small")
    await world.bus.deliver()
    again = Submission("", text(MOST - 100), "id-2")
    with pytest.raises(TooLarge):
        await world.bridge.services.bridge.rerun("id-1", pipeline_kit.LOCAL, again, new_input=True)


async def test_a_result_that_the_bus_cannot_carry_fails_the_invocation_with_that_reason(world: World) -> None:
    await world.ask("work")
    await world.bus.deliver()
    run = await world.run()
    token = run.invocations[0].control.token
    await world.bridge.services.bridge.report("id-1/worker", token, {"status": "succeeded", "output": "x" * MOST})
    await world.bus.deliver()
    ended = await world.run()
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, "OutputTooLarge")
    assert "is too large" in ended.error.message
    assert len(ended.invocations[0].attempts) == 1


async def test_progress_that_is_larger_than_an_event_may_be_is_refused(world: World) -> None:
    await world.ask("work")
    await world.bus.deliver()
    token = (await world.run()).invocations[0].control.token
    with pytest.raises(Undeliverable, match=r"256,000 are allowed \(max_event_bytes\)"):
        await world.bridge.services.bridge.report("id-1/worker", token, {"status": "running", "message": "x" * MOST})


async def test_what_another_sender_got_onto_the_bus_is_put_off_like_any_other_event(world: World) -> None:
    await world.ask("work")
    await world.bus.deliver()
    timer = pipeline_kit.message(world, "deadline")
    early = replace(timer, body=timer.body.ljust(FOREIGN), deliver_at=None)
    assert await world.bridge.pipeline.subscriptions()["automation-timers/bridge"](Delivery(timer.topic, early)) is Ack.DONE
    assert [len(each.body) for each in world.bus.waiting if each.topic == timer.topic] == [len(timer.body), FOREIGN]


async def test_a_dead_letter_of_another_sender_can_be_replayed_whatever_may_be_larger_of_the_bridge(world: World) -> None:
    await world.bus.publish([Message("automation-requests", b"?" * FOREIGN, "m-1")])
    await world.bus.deliver()
    deadletters = world.bridge.services.deadletters.kept
    (letter,), _ = await deadletters.page(10, "")
    assert (await deadletters.replay(letter.id, ReplayRequest("operator"))).now
    assert [len(each.body) for each in world.bus.published] == [FOREIGN, FOREIGN]


async def test_without_the_setting_only_the_limit_of_the_bus_counts(tmp_path: Path) -> None:
    world = await pipeline_kit.world(tmp_path)
    await world.ask("work", text(MOST + 1))
    await world.bus.deliver()
    assert (await world.run()).status is Status.RUNNING


def test_what_is_around_the_largest_event_has_room_on_service_bus_standard(longest: Run) -> None:
    work = events.work(longest, longest.invocations[0], longest.created_at, f"https://{'b' * 200}.example.com")
    sent = ServiceBusMessage(
        b"x" * MOST,
        message_id=work.message_id[:128],
        correlation_id=work.correlation_id[:128],
        session_id=work.correlation_id[:128],
        subject=work.label,
        content_type=work.content_type,
        application_properties=dict(work.properties),
        time_to_live=work.time_to_live,
    )
    batch = ServiceBusMessageBatch(max_size_in_bytes=2**20)
    batch.add_message(sent)
    assert batch.size_in_bytes <= STANDARD


@pytest.fixture
async def longest(tmp_path: Path) -> Run:
    """A run with the longest names."""
    world = await pipeline_kit.world(tmp_path)
    await world.ask("work", "small", "i" * 100)
    return await world.run("i" * 100)
