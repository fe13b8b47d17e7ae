"""The broker for a functions host where another bus carries the events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import entities
from bridge.adapters.embedded.amqp.brokererrors import ServerBusy
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Incoming, Locked
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.adapters.embedded.relay import Relay
from bridge.adapters.embedded.servicebus import Listener
from bridge.errors import Unavailable
from bridge.ports import Ack, Delivery, Message

TOPIC, SOURCE = "automation-python", "automation-python/Subscriptions/table-summarize"
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
    async with Relay.open(tmp_path, LISTED, other, Listener(0), queue_limit=1, max_message=2**20) as opened:
        yield opened


def work(subject: str = "table.summarize", label: str = "") -> Delivery:
    event = {"specversion": "1.0", "id": "r-1/t", "source": "/b", "type": "automation.invoked", "subject": subject}
    return Delivery(TOPIC, Message(TOPIC, json.dumps(event).encode(), "m-1", label=label))


def receiving(relay: Relay, credit: int) -> asyncio.Queue[Locked]:
    came: asyncio.Queue[Locked] = asyncio.Queue()
    relay.broker.open_receiver(SOURCE, push=came.put_nowait, receive_and_delete=False).grant(credit)
    return came


async def next_of(came: asyncio.Queue[Locked]) -> Incoming:
    return incoming((await asyncio.wait_for(came.get(), 20)).stored.encoded)


@pytest.mark.parametrize("label", ["", "table.summarize"])
async def test_work_reaches_the_host_with_or_without_its_label(relay, label):
    came = receiving(relay, 1)
    assert await relay.take(work(label=label)) is Ack.DONE
    message = await next_of(came)
    assert (message.message_id, message.label) == ("m-1", "table.summarize")


async def test_work_of_another_automation_is_left_out_by_the_filter(relay):
    came = receiving(relay, 2)
    await relay.take(work("other.automation"))
    await relay.take(work())
    assert (await next_of(came)).label == "table.summarize"
    assert came.empty()


async def test_work_that_finds_no_room_stays_on_the_other_bus(relay):
    assert await relay.take(work()) is Ack.DONE
    assert await relay.take(work()) is Ack.RETRY


async def test_work_that_can_never_be_stored_becomes_a_dead_letter_and_is_not_delivered_for_ever(tmp_path, other):
    kept: list[tuple[Message, str]] = []
    faults = [Unavailable("the store is away")]

    async def keep(message: Message, reason: str) -> None:
        if faults:
            raise faults.pop()
        kept.append((message, reason))

    async with Relay.open(tmp_path, LISTED, other, Listener(0), queue_limit=1, max_message=100) as relay:
        assert await relay.take(work()) is Ack.RETRY  # nobody keeps it yet
        relay.dead_letter_to(keep)
        assert await relay.take(work()) is Ack.RETRY
        assert await relay.take(work()) is Ack.DONE
    ((message, reason),) = kept
    assert message == work().message
    assert reason == f"A message of {len(message.body)} bytes is too large; 100 are allowed. Send a smaller message."


async def test_work_survives_the_bridge(tmp_path, other):
    async with Relay.open(tmp_path, LISTED, other, Listener(0), queue_limit=1, max_message=2**20) as first:
        await first.take(work())
    async with Relay.open(tmp_path, LISTED, other, Listener(0), queue_limit=1, max_message=2**20) as second:
        assert (await next_of(receiving(second, 1))).message_id == "m-1"


async def test_what_a_function_gives_up_is_handed_over_with_the_reason(relay):
    given_up: asyncio.Queue[Delivery] = asyncio.Queue()

    async def dead(delivery: Delivery) -> Ack:
        given_up.put_nowait(delivery)
        return Ack.DONE

    await relay.dead_letters("automation-deadletters", dead, concurrency=1)
    came: asyncio.Queue[Locked] = asyncio.Queue()
    receiver = relay.broker.open_receiver(SOURCE, push=came.put_nowait, receive_and_delete=False)
    receiver.grant(3)
    await relay.take(work())
    for _ in range(3):
        await receiver.settle((await asyncio.wait_for(came.get(), 20)).token, Abandon({}))
    delivery = await asyncio.wait_for(given_up.get(), 20)
    assert delivery.message.properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert delivery.message.properties["deliveryCount"] == "3"


async def test_what_a_function_sends_goes_over_the_other_bus_whatever_its_topic(relay, other):
    topics = ["automation-results", "a-topic-that-only-the-other-bus-knows"]
    sent = incoming(bare_message(b"{}", message_id="m-2", label="x", content_type="text/plain", properties={"count": 3, "late": False}))
    for topic in topics:
        relay.broker.open_sender(topic)
        await relay.broker.send(topic, [sent])
    assert [message.topic for message in other.sent] == topics
    first = other.sent[0]
    assert (first.body, first.message_id, first.label, first.content_type) == (b"{}", "m-2", "x", "text/plain")
    assert first.properties == {"count": "3", "late": "false"}


async def test_what_the_other_bus_cannot_take_now_the_host_may_send_again(relay, other):
    async def unavailable(_):
        raise Unavailable("The sidecar is away.")

    other.publish = unavailable
    with pytest.raises(ServerBusy, match="sidecar is away"):
        await relay.broker.send("automation-results", [incoming(bare_message(b"{}", message_id="m-2"))])
