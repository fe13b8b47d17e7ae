"""How the messages of a broker with the semantics of Azure Service Bus are settled, and what their locks do."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from bridge.adapters.embedded.amqp.brokererrors import MessageLockLost, NotAllowed
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Reject, Release
from bridge.adapters.embedded.queuereceiver import REST
from tests.contracts.broker_kit import DEAD, SOON, Client, body_of, message, properties_of

# Settlement.


async def test_a_completed_message_is_gone_and_cannot_be_settled_again(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    locked = await client.next()
    await client.settle(locked, Complete())
    with pytest.raises(MessageLockLost):
        await client.settle(locked, Complete())
    assert await broker.peek("jobs", 0, 10, None) == []


async def test_an_abandoned_message_comes_again_before_later_ones_with_its_count_and_properties(broker):
    await broker.send("jobs", [message("a", properties={"x": 1}), message("b")])
    client = Client.of(broker, "jobs", credit=1)
    await client.settle(await client.next(), Abandon({"x": 2, "why": "busy"}))
    client.receiver.grant(2)
    again = await client.next()
    assert (body_of(again), again.stored.delivery_count) == ("a", 1)
    assert properties_of(again) == {"x": 2, "why": "busy"}
    assert await client.bodies(1) == ["b"]


async def test_too_many_deliveries_make_a_dead_letter(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    for count in range(3):
        locked = await client.next()
        assert locked.stored.delivery_count == count
        await client.settle(locked, Abandon())
    dead = await Client.of(broker, "jobs" + DEAD).next()
    assert properties_of(dead)["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert dead.stored.dead_letter_source == "jobs"
    assert await client.stays_empty()


async def test_a_dead_letter_has_its_reason_description_and_properties(broker):
    await broker.send("orders", [message("a", properties={"color": "blue"})])
    client = Client.of(broker, "orders/Subscriptions/all")
    await client.settle(await client.next(), Reject("Broken", "it is broken", {"more": 1}))
    dead = Client.of(broker, "orders/subscriptions/all" + DEAD)
    locked = await dead.next()
    assert properties_of(locked) == {
        "color": "blue",
        "more": 1,
        "DeadLetterReason": "Broken",
        "DeadLetterErrorDescription": "it is broken",
    }
    assert locked.stored.dead_letter_source == "orders/Subscriptions/all"
    with pytest.raises(NotAllowed):
        await dead.settle(locked, Reject("again"))
    await dead.settle(locked, Complete())


async def test_a_dead_letter_without_a_reason_has_no_such_property(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    await client.settle(await client.next(), Reject())
    assert "DeadLetterReason" not in properties_of(await Client.of(broker, "jobs" + DEAD).next())


async def test_dead_letters_are_forwarded(broker):
    await broker.send("fragile", [message("a")])
    client = Client.of(broker, "fragile")
    await client.settle(await client.next(), Abandon())
    locked = await Client.of(broker, "jobs").next()
    assert (body_of(locked), locked.stored.dead_letter_source) == ("a", "fragile")


async def test_a_released_message_comes_at_once_to_others_with_its_count_unchanged(broker):
    await broker.send("jobs", [message("a")])
    stopping, other = Client.of(broker, "jobs", credit=5), Client()
    await stopping.settle(await stopping.next(), Release())
    assert await stopping.stays_empty(0.05)
    other = Client.of(broker, "jobs")
    assert (await other.next(0.05)).stored.delivery_count == 0


async def test_a_receiver_that_releases_gets_the_message_again_only_after_a_rest(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs", credit=50)
    locked, loop = await client.next(), asyncio.get_running_loop()
    for _ in range(3):
        released = loop.time()
        await client.settle(locked, Release())
        locked = await client.next()
        assert loop.time() - released >= REST
    assert locked.stored.delivery_count == 0


async def test_whoever_names_the_token_settles_for_the_receiver(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    locked = await client.next()
    await broker.settle("jobs", locked.token, Complete())
    with pytest.raises(MessageLockLost):
        await client.settle(locked, Complete())
    with pytest.raises(MessageLockLost):
        await broker.settle("jobs", uuid4(), Complete())


# Locks.


async def test_a_message_whose_lock_ends_comes_again_and_counts(broker):
    await broker.send("brief", [message("a")])
    client = Client.of(broker, "brief")
    first = await client.next()
    again = await client.next()
    assert again.stored.delivery_count == 1
    assert again.token != first.token
    with pytest.raises(MessageLockLost):
        await client.settle(first, Complete())
    dead = Client.of(broker, "brief" + DEAD)
    assert properties_of(await dead.next())["DeadLetterReason"] == "MaxDeliveryCountExceeded"


async def test_a_renewed_lock_lasts(broker):
    await broker.send("brief", [message("a")])
    client = Client.of(broker, "brief")
    locked = await client.next()
    for _ in range(4):
        await asyncio.sleep(SOON / 2)
        assert await broker.renew("brief", locked.token) > locked.until
    await client.settle(locked, Complete())
    with pytest.raises(MessageLockLost):
        await broker.renew("brief", locked.token)


async def test_the_messages_of_a_connection_that_is_gone_come_again_at_once(broker):
    await broker.send("jobs", [message("a")])
    client = Client.of(broker, "jobs")
    await client.next()
    client.receiver.close(gone=True)
    assert (await Client.of(broker, "jobs").next()).stored.delivery_count == 1


async def test_a_receiver_that_closes_keeps_its_locks_until_they_end(broker):
    await broker.send("brief", [message("a"), message("b")])
    client = Client.of(broker, "brief", credit=2)
    kept, settled = await client.next(), await client.next()
    client.receiver.close()
    other = Client.of(broker, "brief")
    assert await other.stays_empty(SOON / 3)
    await broker.settle("brief", settled.token, Complete())
    assert (await other.next()).stored.sequence_number == kept.stored.sequence_number
