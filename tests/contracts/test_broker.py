"""What a broker with the semantics of Azure Service Bus does, whoever implements it: addresses, sending and receiving, bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.adapters.embedded.amqp.brokererrors import EntityNotFound, MessageTooLarge, NotAllowed
from bridge.adapters.embedded.amqp.brokervalues import ACTIVE, Defer, Reject
from bridge.adapters.embedded.amqp.filterrules import FilterRule, SqlFilter
from tests.contracts.broker_kit import DEAD, Client, body_of, message, properties_of

# Addresses.


@pytest.mark.parametrize("address", ["jobs", "JOBS", "orders", "Orders"])
async def test_queues_and_topics_are_sent_to_whatever_the_case(broker, address):
    assert broker.open_sender(address).max_message_size >= 2**20


@pytest.mark.parametrize(
    "address", ["nothing", "", "orders/Subscriptions/none", "jobs/$DeadLetterQueue/$DeadLetterQueue", "jobs/$Transfer"]
)
async def test_what_is_not_there_is_not_found(broker, address):
    with pytest.raises(EntityNotFound):
        broker.open_sender(address)
    with pytest.raises(EntityNotFound):
        broker.open_receiver(address, push=lambda _: None, receive_and_delete=False)


@pytest.mark.parametrize("address", ["orders", "sessions", "plain/Subscriptions/grouped", "first"])
async def test_a_receiver_is_refused_where_it_cannot_receive(broker, address):
    with pytest.raises(NotAllowed):
        broker.open_receiver(address, push=lambda _: None, receive_and_delete=False)


@pytest.mark.parametrize("address", ["orders/Subscriptions/all", "jobs/$deadletterqueue"])
async def test_subscriptions_and_dead_letters_are_not_sent_to(broker, address):
    with pytest.raises(NotAllowed):
        broker.open_sender(address)


# Sending and receiving.


async def test_messages_come_in_their_order_with_their_numbers(broker):
    numbers = await broker.send("jobs", [message("a"), message("b"), message("c")])
    client = Client.of(broker, "Jobs")
    came = [await client.next() for _ in range(3)]
    assert [body_of(locked) for locked in came] == ["a", "b", "c"]
    assert [locked.stored.sequence_number for locked in came] == list(numbers) == sorted(numbers)
    assert {locked.stored.delivery_count for locked in came} == {0}
    assert {locked.stored.state for locked in came} == {ACTIVE}


async def test_a_message_keeps_its_bytes_its_priority_and_its_time_to_live(broker):
    sent = message("a", ttl=60, priority=7, properties={"n": 1, "t": "x"}, session_id="s", label="l")
    await broker.send("jobs", [sent])
    stored = (await Client.of(broker, "jobs").next()).stored
    assert (stored.encoded, stored.priority, stored.session_id) == (sent.encoded, 7, "s")
    assert stored.expires - stored.enqueued == timedelta(seconds=60)


async def test_no_more_come_than_there_is_credit(broker):
    await broker.send("jobs", [message(str(number)) for number in range(5)])
    client = Client.of(broker, "jobs", credit=2)
    await client.bodies(2)
    assert await client.stays_empty()
    client.receiver.grant(1)
    await client.next()
    assert await client.stays_empty()
    client.receiver.grant(5)
    await client.bodies(2)
    assert client.receiver.drain() == 3
    await broker.send("jobs", [message("later")])
    assert await client.stays_empty()


async def test_a_large_message_is_refused_and_nothing_of_its_batch_is_stored(broker):
    with pytest.raises(MessageTooLarge):
        await broker.send("jobs", [message("a"), message("b" * (2**21))])
    assert await Client.of(broker, "jobs").stays_empty()


async def test_a_message_in_receive_and_delete_mode_is_gone(broker):
    await broker.send("jobs", [message("a"), message("b")])
    client = Client.of(broker, "jobs", delete=True)
    assert await client.bodies(2) == ["a", "b"]
    assert await broker.peek("jobs", 0, 10, None) == []


async def test_every_subscription_gets_a_copy(broker):
    await broker.send("plain", [message("a", session_id="s")])
    for name in ("one", "two"):
        assert await Client.of(broker, f"plain/subscriptions/{name}").bodies(1) == ["a"]


async def test_a_message_to_a_topic_without_subscriptions_has_no_number(broker):
    assert list(await broker.send("alone", [message("a")])) == [0]


async def test_a_message_is_forwarded(broker):
    await broker.send("first", [message("a")])
    assert await Client.of(broker, "jobs").bodies(1) == ["a"]


# Bounds.


@pytest.mark.parametrize("ids", [{"message_id": "m" * 129}, {"session_id": "s" * 129}])
async def test_ids_are_as_long_as_azure_takes_them(broker, ids):
    with pytest.raises(NotAllowed):
        await broker.send("jobs", [message("a", **ids)])
    await broker.send("jobs", [message("a", message_id="m" * 128, session_id="s" * 128)])


async def test_a_message_that_an_action_makes_too_large_is_kept_as_it_was_sent(broker):
    address = "plain/Subscriptions/one"
    await broker.add_rule(address, FilterRule("large", SqlFilter("1 = 1"), "SET a = b + b"))
    await broker.remove_rule(address, "$Default")
    sent = message("a", properties={"b": "x" * 16_000, "c": "x" * 30_000})
    await broker.send("plain", [sent])
    assert (await Client.of(broker, address).next()).stored.encoded == sent.encoded


async def test_more_numbers_than_a_call_takes_are_refused(broker):
    with pytest.raises(NotAllowed):
        await broker.receive_deferred("jobs", range(1, 2_000), receive_and_delete=False, session_id=None)
    with pytest.raises(NotAllowed):
        await broker.cancel_scheduled("jobs", range(1, 2_000))


async def test_what_receivers_add_to_a_message_is_bounded(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    locked = await client.next()
    with pytest.raises(NotAllowed):
        await client.settle(locked, Defer({"x": "x" * 70_000}))
    await client.settle(locked, Reject("r" * 10_000, "d" * 10_000))
    dead = properties_of(await Client.of(broker, "jobs" + DEAD).next())
    assert dead == {"DeadLetterReason": "r" * 4_096, "DeadLetterErrorDescription": "d" * 4_096}
