"""The queue door where another bus carries the events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import entities
from bridge.adapters.embedded.receiver import Lock
from bridge.adapters.embedded.relay import Relay
from bridge.ports import Ack, Delivery, Message

TOPIC, SOURCE = "automation-python", "automation-python/table-summarize"
LISTED = entities.load(Path(__file__).parents[2] / "components" / "servicebus.json")


class OtherBus:
    """Keeps what is published on it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def publish(self, messages):
        self.sent += messages

    async def subscribe(self, *_, **__):
        raise AssertionError("the relay takes no deliveries by itself")


@pytest.fixture
def other() -> OtherBus:
    return OtherBus()


@pytest.fixture
async def relay(tmp_path, other) -> AsyncIterator[Relay]:
    async with Relay.open(tmp_path, LISTED, other, queue_limit=1, max_message=2**20) as opened:
        yield opened


def work(subject: str = "table.summarize", label: str = "") -> Delivery:
    event = {"specversion": "1.0", "id": "r-1/t", "source": "/b", "type": "automation.invoked", "subject": subject}
    return Delivery(TOPIC, Message(TOPIC, json.dumps(event).encode(), "m-1", label=label))


@pytest.mark.parametrize("label", ["", "table.summarize"])
async def test_work_reaches_who_asks_at_the_door_with_or_without_its_label(relay, label):
    came: asyncio.Queue[Lock] = asyncio.Queue()
    relay.receive(SOURCE, came.put_nowait).grant(1)
    assert await relay.take(work(label=label)) is Ack.DONE
    message = (await asyncio.wait_for(came.get(), 5)).entry.message
    assert (message.message_id, message.label) == ("m-1", "table.summarize")


async def test_work_of_another_automation_is_left_out_by_the_filter(relay):
    came: asyncio.Queue[Lock] = asyncio.Queue()
    relay.receive(SOURCE, came.put_nowait).grant(2)
    await relay.take(work("other.automation"))
    await relay.take(work())
    assert (await asyncio.wait_for(came.get(), 5)).entry.message.label == "table.summarize"
    assert came.empty()


async def test_work_that_finds_no_room_stays_on_the_other_bus(relay):
    assert await relay.take(work()) is Ack.DONE
    assert await relay.take(work()) is Ack.RETRY


async def test_work_survives_the_bridge(tmp_path, other):
    came: asyncio.Queue[Lock] = asyncio.Queue()
    async with Relay.open(tmp_path, LISTED, other, queue_limit=1, max_message=2**20) as first:
        await first.take(work())
    async with Relay.open(tmp_path, LISTED, other, queue_limit=1, max_message=2**20) as second:
        second.receive(SOURCE, came.put_nowait).grant(1)
        assert (await asyncio.wait_for(came.get(), 5)).entry.message.message_id == "m-1"


async def test_what_a_function_gives_up_is_handed_over_with_the_reason(relay):
    given_up: asyncio.Queue[Delivery] = asyncio.Queue()

    async def dead(delivery: Delivery) -> Ack:
        given_up.put_nowait(delivery)
        return Ack.DONE

    await relay.dead_letters("automation-deadletters", dead, concurrency=1)
    receiver = relay.receive(SOURCE, lambda lock: receiver.abandon(lock.token, lambda: None))
    receiver.grant(1)
    await relay.take(work())
    delivery = await asyncio.wait_for(given_up.get(), 5)
    assert delivery.message.properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert delivery.message.properties["deliveryCount"] == "3"


async def test_what_a_function_sends_goes_over_the_other_bus(relay, other):
    await relay.publish([Message("automation-results", b"{}")])
    assert [message.topic for message in other.sent] == ["automation-results"]
