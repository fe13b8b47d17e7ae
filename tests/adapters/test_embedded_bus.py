from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bridge import telemetry
from bridge.adapters.embedded.bus import EmbeddedBus
from bridge.adapters.embedded.subscriber import pause_after
from bridge.entities import Entities
from bridge.errors import Full, Undeliverable
from bridge.ports import Ack, Delivery, Message
from tests.adapters.embedded_kit import ORDERS, entities, label_rule, open_bus, subscription
from tests.contracts.conftest import Inbox


def message(body: str = "x", topic: str = "orders", **fields) -> Message:
    return Message(topic, body.encode(), **fields)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def bodies(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.body.decode() for delivery in deliveries]


async def publish_when_there_is_room(bus: EmbeddedBus, sent: Message) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                return await bus.publish([sent])
            except Full:
                await asyncio.sleep(0.02)


async def test_every_property_arrives(tmp_path, inbox):
    sent = message(message_id="m", correlation_id="c", label="l", content_type="text/plain", properties={"color": "red"})
    async with open_bus(tmp_path) as bus:
        await bus.publish([sent])
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert (await inbox.next()).message == sent


async def test_every_subscription_whose_rules_a_message_passes_gets_a_copy(tmp_path, inbox):
    known = entities(
        orders=[subscription("all"), subscription("red", rules=[label_rule("red")]), subscription("blue", rules=[label_rule("blue")])]
    )
    async with open_bus(tmp_path, known) as bus:
        for name in ("all", "red", "blue"):
            await bus.subscribe(f"orders/{name}", inbox, concurrency=1)
        await bus.publish([message(label="red")])
        assert {delivery.source for delivery in await inbox.take(2)} == {"orders/all", "orders/red"}
        assert await inbox.stays_empty()


async def test_a_message_to_a_topic_without_subscriptions_vanishes(tmp_path):
    async with open_bus(tmp_path, entities(orders=[])) as bus:
        await bus.publish([message()])


async def test_a_queue_is_published_to_by_its_name(tmp_path, inbox):
    async with open_bus(tmp_path, entities(queues={"jobs": {}})) as bus:
        await bus.subscribe("jobs", inbox, concurrency=1)
        await bus.publish([message(topic="jobs")])
        assert (await inbox.next()).source == "jobs"


async def test_a_message_is_forwarded_to_where_its_subscription_says(tmp_path, inbox):
    async with open_bus(tmp_path, entities(queues={"jobs": {}}, orders=[subscription(ForwardTo="jobs")])) as bus:
        await bus.subscribe("jobs", inbox, concurrency=1)
        await bus.publish([message()])
        assert (await inbox.next()).message.topic == "orders"


async def test_a_message_for_later_does_not_come_before_its_time(tmp_path, inbox):
    due = soon(0.4)
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message("later", deliver_at=due), message("sooner")])
        assert bodies([await inbox.next()]) == ["sooner"]
        assert bodies([await inbox.next()]) == ["later"]
        assert datetime.now(UTC) >= due


async def test_messages_for_later_come_in_the_order_of_their_times(tmp_path, inbox):
    async with open_bus(tmp_path, window=2) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message(str(tenth), deliver_at=soon(tenth / 10)) for tenth in (5, 1, 4, 2, 3, 6)])
        assert bodies(await inbox.take(6)) == ["1", "2", "3", "4", "5", "6"]


async def test_a_queue_longer_than_its_window_is_delivered_in_order_and_once(tmp_path, inbox):
    async with open_bus(tmp_path, window=4) as bus:
        await bus.publish([message(str(number)) for number in range(100)])
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message(str(number)) for number in range(100, 200)])
        assert bodies(await inbox.take(200)) == [str(number) for number in range(200)]
        assert await inbox.stays_empty()


async def test_a_long_queue_that_grows_while_it_is_read_loses_nothing(tmp_path, inbox):
    inbox.answers = [Ack.RETRY] * 50
    async with open_bus(tmp_path, window=3) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=7)
        await asyncio.gather(*(bus.publish([message(str(number))]) for number in range(300)))
        came = bodies(await inbox.take(350))
        assert set(came) == {str(number) for number in range(300)}
        assert await inbox.stays_empty()


async def test_the_attempt_counts_up_and_survives_a_restart(tmp_path):
    inbox = Inbox([Ack.RETRY, Ack.RETRY])
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message()])
        assert [delivery.attempt for delivery in await inbox.take(2)] == [1, 2]
    again = Inbox()
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", again, concurrency=1)
        assert (await again.next()).attempt == 3


def test_the_pause_doubles_up_to_a_quarter_of_a_minute():
    assert [pause_after(attempt) for attempt in (1, 2, 3, 7, 8, 9, 10_000)] == [0.1, 0.2, 0.4, 6.4, 12.8, 15, 15]


async def test_a_message_that_keeps_failing_becomes_a_dead_letter_with_the_reason(tmp_path, inbox):
    known = entities(orders=[subscription(MaxDeliveryCount=2)])
    async with open_bus(tmp_path, known) as bus:
        await bus.subscribe("orders/all", Inbox([ValueError("no such table"), ValueError("no such table")]), concurrency=1)
        await bus.subscribe("orders/all/$DeadLetterQueue", inbox, concurrency=1)
        await bus.publish([message(properties={"color": "red"})])
        properties = (await inbox.next()).message.properties
    assert properties == {
        "color": "red",
        "DeadLetterReason": "MaxDeliveryCountExceeded",
        "DeadLetterErrorDescription": "Given up after 2 deliveries: ValueError: no such table",
        "x-opt-deadletter-source": "orders/all",
        "deliveryCount": "2",
    }


async def test_dead_letters_are_forwarded_to_the_queue_that_is_named(tmp_path, inbox):
    known = entities(queues={"grave": {}}, orders=[subscription(MaxDeliveryCount=1, ForwardDeadLetteredMessagesTo="grave")])
    async with open_bus(tmp_path, known) as bus:
        await bus.subscribe("orders/all", Inbox([Ack.RETRY]), concurrency=1)
        await bus.subscribe("grave", inbox, concurrency=1)
        await bus.publish([message("dead")])
        delivery = await inbox.next()
    assert (delivery.message.body, delivery.message.topic, delivery.attempt) == (b"dead", "orders", 1)


@pytest.mark.parametrize(("forwarded", "counted"), [({}, 1), ({"ForwardDeadLetteredMessagesTo": "grave"}, 0)])
async def test_a_dead_letter_is_counted_where_it_stays(tmp_path, inbox, forwarded, counted):
    counter = telemetry.DEAD_LETTERS.labels("MaxDeliveryCountExceeded")
    before = counter._value.get()
    known = entities(queues={"grave": {}}, orders=[subscription(MaxDeliveryCount=1, **forwarded)])
    async with open_bus(tmp_path, known) as bus:
        await bus.subscribe("orders/all", Inbox([Ack.RETRY]), concurrency=1)
        await bus.subscribe(forwarded.get("ForwardDeadLetteredMessagesTo", "orders/all/$DeadLetterQueue"), inbox, concurrency=1)
        await bus.publish([message("dead")])
        await inbox.next()
    assert counter._value.get() == before + counted


@pytest.mark.parametrize(
    ("properties", "own"),
    [
        ({"DefaultMessageTimeToLive": "PT0.05S"}, None),
        ({}, timedelta(seconds=0.05)),
        ({"DefaultMessageTimeToLive": "PT1H"}, timedelta(seconds=0.05)),
    ],
)
async def test_a_message_is_dropped_when_the_smaller_time_to_live_is_over(tmp_path, inbox, properties, own):
    async with open_bus(tmp_path, entities(orders=[subscription(**properties)])) as bus:
        await bus.publish([message(time_to_live=own)])
        await asyncio.sleep(0.1)
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await inbox.stays_empty()


async def test_an_expired_message_becomes_a_dead_letter_where_the_entity_says_so(tmp_path, inbox):
    known = entities(orders=[subscription(DefaultMessageTimeToLive="PT0.05S", DeadLetteringOnMessageExpiration=True)])
    async with open_bus(tmp_path, known) as bus:
        await bus.publish([message()])
        await asyncio.sleep(0.1)
        await bus.subscribe("orders/all", Inbox(), concurrency=1)
        await bus.subscribe("orders/all/$DeadLetterQueue", inbox, concurrency=1)
        assert (await inbox.next()).message.properties["DeadLetterReason"] == "TTLExpiredException"


async def test_what_expired_unread_gives_its_room_back(tmp_path):
    known = entities(orders=[subscription(DefaultMessageTimeToLive="PT0.05S")])
    async with open_bus(tmp_path, known, queue_limit=1) as bus:
        await bus.publish([message()])
    await asyncio.sleep(0.1)
    async with open_bus(tmp_path, known, queue_limit=1) as bus:
        await publish_when_there_is_room(bus, message())


async def test_a_full_subscription_refuses_the_whole_call(tmp_path, inbox):
    known = entities(orders=[subscription()], invoices=[subscription()])
    async with open_bus(tmp_path, known, queue_limit=2) as bus:
        await bus.publish([message("1"), message("2")])
        with pytest.raises(Full) as caught:
            await bus.publish([message(topic="invoices"), message("3")])
        assert caught.value.retry_after > 0
        await bus.subscribe("invoices/all", inbox, concurrency=1)
        assert await inbox.stays_empty()


async def test_messages_for_later_take_no_room(tmp_path):
    async with open_bus(tmp_path, queue_limit=1) as bus:
        await bus.publish([message(deliver_at=soon(3600)) for _ in range(5)])
        await bus.publish([message()])


async def test_room_comes_back_when_messages_are_done_even_after_a_restart(tmp_path, inbox):
    async with open_bus(tmp_path, queue_limit=2) as bus:
        await bus.publish([message("1"), message("2")])
    async with open_bus(tmp_path, queue_limit=2) as bus:
        with pytest.raises(Full):
            await bus.publish([message("3")])
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await inbox.take(2)
        await publish_when_there_is_room(bus, message("3"))
        assert bodies([await inbox.next()]) == ["3"]


async def test_a_refused_message_takes_nothing_else_of_its_call_along(tmp_path, inbox):
    async with open_bus(tmp_path, max_message=10) as bus:
        with pytest.raises(Undeliverable, match="too large"):
            await bus.publish([message("fits"), message("x" * 70_000)])
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await inbox.stays_empty()


async def test_a_source_that_does_not_exist_cannot_be_read(tmp_path, inbox):
    async with open_bus(tmp_path) as bus:
        with pytest.raises(Undeliverable, match="orders/none"):
            await bus.subscribe("orders/none", inbox, concurrency=1)


async def test_nothing_is_handed_out_after_draining_and_nothing_is_lost(tmp_path, inbox):
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        bus.drain()
        await bus.publish([message("kept")])
        assert await inbox.stays_empty()
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert bodies([await inbox.next()]) == ["kept"]


@pytest.mark.parametrize(("patience", "comes_again"), [(5, False), (0, True)])
async def test_closing_waits_for_handlers_as_long_as_it_is_told(tmp_path, inbox, patience, comes_again):
    started = asyncio.Event()

    async def slow(_: Delivery) -> Ack:
        started.set()
        await asyncio.sleep(0.2)
        return Ack.DONE

    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", slow, concurrency=1)
        await bus.publish([message()])
        await started.wait()
        await bus.close(patience)
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await inbox.stays_empty() is not comes_again


async def test_a_publisher_that_gives_up_waiting_has_still_published(tmp_path, inbox):
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        publishing = asyncio.create_task(bus.publish([message()]))
        await asyncio.sleep(0)
        publishing.cancel()
        assert bodies([await inbox.next()]) == ["x"]


async def test_a_handler_cannot_subscribe_where_sessions_are_required(tmp_path, inbox):
    async with open_bus(tmp_path, entities(orders=[subscription(RequiresSession=True)])) as bus:
        with pytest.raises(Undeliverable, match="orders/all requires sessions"):
            await bus.subscribe("orders/all", inbox, concurrency=1)


async def test_a_topic_may_limit_the_time_to_live_of_all_its_subscriptions(tmp_path, inbox):
    topic = {"Name": "orders", "Properties": {"DefaultMessageTimeToLive": "PT0.05S"}, "Subscriptions": [subscription()]}
    async with open_bus(tmp_path, Entities.model_validate({"Topics": [topic]})) as bus:
        await bus.publish([message()])
        await asyncio.sleep(0.1)
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await inbox.stays_empty()


async def test_two_readers_share_a_source(tmp_path, inbox):
    async with open_bus(tmp_path, ORDERS) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message(str(number)) for number in range(10)])
        assert sorted(bodies(await inbox.take(10))) == [str(number) for number in range(10)]
        assert await inbox.stays_empty()
