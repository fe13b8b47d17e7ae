"""Messages of a broker that are deferred, scheduled, peeked at, expire, or come twice."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.embedded.amqp.brokererrors import MessageNotFound
from bridge.adapters.embedded.amqp.brokervalues import ACTIVE, DEFERRED, SCHEDULED, Abandon, Defer
from tests.contracts.broker_kit import DEAD, SOON, Client, body_of, message, properties_of, soon

# Deferral, peek, schedule.


async def test_a_deferred_message_comes_only_by_its_number(broker):
    (number,) = await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    await client.settle(await client.next(), Defer({"later": True}))
    assert await client.stays_empty()
    (locked,) = await broker.receive_deferred("jobs", [number], receive_and_delete=False, session_id=None)
    assert (body_of(locked), locked.stored.state, locked.stored.delivery_count) == ("a", DEFERRED, 1)
    assert properties_of(locked) == {"later": True}
    with pytest.raises(MessageNotFound):
        await broker.receive_deferred("jobs", [number], receive_and_delete=False, session_id=None)
    await broker.settle("jobs", locked.token, Abandon())
    (again,) = await broker.receive_deferred("jobs", [number], receive_and_delete=True, session_id=None)
    assert again.stored.delivery_count == 2
    assert await broker.peek("jobs", 0, 10, None) == []


async def test_deferred_messages_are_received_all_or_none(broker):
    numbers = await broker.send("jobs", [message("a"), message("b")])
    client = Client.of(broker, "jobs", credit=1)
    await client.settle(await client.next(), Defer())
    with pytest.raises(MessageNotFound):
        await broker.receive_deferred("jobs", numbers, receive_and_delete=False, session_id=None)
    assert len(await broker.receive_deferred("jobs", numbers[:1], receive_and_delete=False, session_id=None)) == 1


async def test_the_lock_of_a_deferred_message_ends_and_it_stays_deferred(broker):
    (number,) = await broker.send("brief", [message("a")])
    client = Client.of(broker, "brief")
    await client.settle(await client.next(), Defer())
    await broker.receive_deferred("brief", [number], receive_and_delete=False, session_id=None)
    await asyncio.sleep(2 * SOON)
    assert await client.stays_empty()
    assert properties_of(await Client.of(broker, "brief" + DEAD).next())["DeadLetterReason"] == "MaxDeliveryCountExceeded"


async def test_peek_shows_every_state_in_the_order_of_numbers_and_changes_nothing(broker):
    numbers = [
        *(await broker.send("jobs", [message("deferred"), message("locked")])),
        *(await broker.send("jobs", [message("later", scheduled=soon(60))])),
        *(await broker.send("jobs", [message("free")])),
    ]
    client = Client.of(broker, "jobs", credit=2)
    await client.settle(await client.next(), Defer())
    await client.next()
    seen = await broker.peek("jobs", 0, 10, None)
    assert [each.sequence_number for each in seen] == numbers
    assert [(body_of(each), each.state) for each in seen] == [
        ("deferred", DEFERRED),
        ("locked", ACTIVE),
        ("later", SCHEDULED),
        ("free", ACTIVE),
    ]
    assert [body_of(each) for each in await broker.peek("jobs", numbers[1], 2, None)] == ["locked", "later"]
    assert await broker.peek("jobs", numbers[-1] + 1, 10, None) == []
    client.receiver.grant(1)
    assert await client.bodies(1) == ["free"]


async def test_a_scheduled_message_comes_at_its_time(broker):
    await broker.send("jobs", [message("later", scheduled=soon()), message("now")])
    client = Client.of(broker, "jobs")
    assert await client.bodies(1) == ["now"]
    late = await client.next()
    assert (body_of(late), late.stored.state) == ("later", ACTIVE)
    assert late.stored.enqueued >= late.stored.scheduled_for


async def test_a_canceled_message_does_not_come(broker):
    numbers = await broker.send("jobs", [message("a", scheduled=soon()), message("b", scheduled=soon())])
    await broker.cancel_scheduled("jobs", numbers[:1])
    with pytest.raises(MessageNotFound):
        await broker.cancel_scheduled("jobs", numbers)
    client = Client.of(broker, "jobs")
    assert await client.bodies(1) == ["b"]
    assert await client.stays_empty()
    with pytest.raises(MessageNotFound):
        await broker.cancel_scheduled("jobs", numbers[1:])


async def test_one_number_cancels_what_is_scheduled_on_a_topic(broker):
    kept, canceled = await broker.send("plain", [message("kept", scheduled=soon()), message("canceled", scheduled=soon())])
    assert [body_of(each) for each in await broker.peek("plain", 0, 10, None)] == ["kept", "canceled"]
    await broker.cancel_scheduled("plain", [canceled])
    one, two = (Client.of(broker, f"plain/Subscriptions/{name}") for name in ("one", "two"))
    assert await one.bodies(1) == await two.bodies(1) == ["kept"]
    assert await one.stays_empty()
    with pytest.raises(MessageNotFound):
        await broker.cancel_scheduled("plain", [kept])


async def test_a_message_scheduled_on_a_topic_without_subscriptions_can_be_canceled(broker):
    (number,) = await broker.send("alone", [message("a", scheduled=soon(60))])
    await broker.cancel_scheduled("alone", [number])


# Time to live and duplicates.


async def test_a_message_that_expires_becomes_a_dead_letter_where_the_queue_says_so(broker):
    await broker.send("fading", [message("a", ttl=60)])
    await asyncio.sleep(2 * SOON)
    assert await Client.of(broker, "fading").stays_empty()
    assert properties_of(await Client.of(broker, "fading" + DEAD).next())["DeadLetterReason"] == "TTLExpiredException"


async def test_elsewhere_it_is_gone(broker):
    await broker.send("jobs", [message("a", ttl=SOON / 2)])
    await asyncio.sleep(SOON)
    assert await Client.of(broker, "jobs").stays_empty()
    assert await Client.of(broker, "jobs" + DEAD).stays_empty(0)


async def test_a_time_to_live_of_ages_is_none(broker):
    await broker.send("ageless", [message("a"), message("b", ttl=(2**32 - 1) / 1000), message("c", ttl=60)])
    client = Client.of(broker, "ageless")
    assert [(await client.next()).stored.expires is None for _ in range(3)] == [True, True, False]


async def test_a_message_id_is_taken_once_within_the_window(broker):
    numbers = await broker.send("once", [message("a", message_id="1"), message("b", message_id="1"), message("c", message_id="2")])
    assert [number > 0 for number in numbers] == [True, False, True]
    assert list(await broker.send("once", [message("d", message_id="1")])) == [0]
    await asyncio.sleep(3 * SOON)
    assert (await broker.send("once", [message("e", message_id="1")]))[0] > 0
    assert await Client.of(broker, "once").bodies(3) == ["a", "c", "e"]


async def test_a_topic_drops_a_duplicate_for_all_its_subscriptions(broker):
    for body in ("a", "b"):
        await broker.send("deduplicated", [message(body, message_id="1")])
    for name in ("one", "two"):
        client = Client.of(broker, f"deduplicated/Subscriptions/{name}")
        assert await client.bodies(1) == ["a"]
        assert await client.stays_empty()
