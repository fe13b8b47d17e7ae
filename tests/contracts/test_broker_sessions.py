"""Sessions of a broker with the semantics of Azure Service Bus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from bridge.adapters.embedded.amqp.brokererrors import AcceptTimeout, NotAllowed, SessionCannotBeLocked, SessionLockLost
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Defer, Reject
from tests.contracts.broker_kit import DEAD, SOON, Client, body_of, message, properties_of, soon


async def test_a_queue_with_sessions_takes_only_messages_with_one(broker):
    with pytest.raises(NotAllowed):
        await broker.send("sessions", [message("a", session_id="s"), message("b")])
    await broker.send("plain", [message("c")])
    dead = await Client.of(broker, "plain/Subscriptions/grouped" + DEAD).next()
    assert properties_of(dead)["DeadLetterReason"] == "SessionIdMissing"


async def test_a_session_is_received_in_order_by_one_receiver(broker):
    await broker.send("sessions", [message(f"{name}{number}", session_id=name) for number in range(3) for name in "ab"])
    client = await Client.of_session(broker, "sessions", "a")
    assert client.receiver.session_id == "a"
    assert await client.bodies(3) == ["a0", "a1", "a2"]
    assert await client.stays_empty()
    with pytest.raises(SessionCannotBeLocked):
        await Client.of_session(broker, "sessions", "a")
    await broker.send("sessions", [message("a3", session_id="a")])
    assert await client.bodies(1) == ["a3"]


async def test_the_next_free_session_is_one_with_messages(broker):
    await broker.send("sessions", [message("a", session_id="a"), message("b", session_id="b")])
    first, second = [await Client.of_session(broker, "sessions") for _ in range(2)]
    assert {first.receiver.session_id, second.receiver.session_id} == {"a", "b"}
    with pytest.raises(AcceptTimeout):
        await Client.of_session(broker, "sessions", seconds=0.1)


async def test_who_waits_gets_a_session_as_soon_as_there_is_one(broker):
    waiting = asyncio.create_task(Client.of_session(broker, "sessions"))
    later = asyncio.create_task(Client.of_session(broker, "sessions"))
    await asyncio.sleep(0.05)
    await broker.send("sessions", [message("a", session_id="s")])
    first = await asyncio.wait_for(waiting, 20)
    await first.bodies(1)
    first.receiver.close()
    second = await asyncio.wait_for(later, 20)
    assert second.receiver.session_id == "s"
    assert (await second.next()).stored.delivery_count == 0


async def test_who_gives_up_waiting_leaves_the_session_to_others(broker):
    waiting = asyncio.create_task(Client.of_session(broker, "sessions"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await broker.send("sessions", [message("a", session_id="s")])
    assert (await Client.of_session(broker, "sessions")).receiver.session_id == "s"


async def test_a_session_with_a_scheduled_message_is_free_when_that_is_due(broker):
    await broker.send("sessions", [message("a", session_id="s", scheduled=soon())])
    with pytest.raises(AcceptTimeout):
        await Client.of_session(broker, "sessions", seconds=0.05)
    client = await Client.of_session(broker, "sessions")
    assert await client.bodies(1) == ["a"]


async def test_a_session_whose_lock_ends_is_free_and_its_messages_count_as_delivered(broker):
    await broker.send("brief-sessions", [message("a", session_id="s")])
    client = await Client.of_session(broker, "brief-sessions")
    lost = await client.next()
    again = await Client.of_session(broker, "brief-sessions")
    assert (await again.next()).stored.delivery_count == 1
    for call in (client.receiver.renew(), client.receiver.state(), client.receiver.set_state(b"x"), client.settle(lost, Complete())):
        with pytest.raises(SessionLockLost):
            await call


async def test_a_renewed_session_stays_locked_with_its_messages(broker):
    await broker.send("brief-sessions", [message("a", session_id="s")])
    client = await Client.of_session(broker, "brief-sessions", "s")
    locked = await client.next()
    for _ in range(4):
        await asyncio.sleep(SOON / 2)
        assert await client.receiver.renew() > locked.until
    await client.settle(locked, Complete())


async def test_the_state_of_a_session_outlives_its_receivers(broker):
    client = await Client.of_session(broker, "sessions", "s")
    assert await client.receiver.state() is None
    await client.receiver.set_state(b"\x00state")
    client.receiver.close()
    other = await Client.of_session(broker, "sessions", "s")
    assert await other.receiver.state() == b"\x00state"
    await other.receiver.set_state(None)
    assert await other.receiver.state() is None


async def test_sessions_are_listed_page_by_page(broker):
    await broker.send("sessions", [message(name, session_id=name) for name in "cab"])
    with_state = await Client.of_session(broker, "sessions", "z")
    before = datetime.now(UTC)
    await with_state.receiver.set_state(b"x")
    assert [list(await broker.list_sessions("sessions", None, skip, 2)) for skip in (0, 2, 4)] == [["a", "b"], ["c", "z"], []]
    assert list(await broker.list_sessions("sessions", before, 0, 10)) == ["z"]
    with pytest.raises(NotAllowed):
        await broker.list_sessions("jobs", None, 0, 10)


async def test_settlement_works_in_sessions_as_elsewhere(broker):
    await broker.send("sessions", [message(body, session_id="s") for body in "abcd"])
    client = await Client.of_session(broker, "sessions", "s", credit=4)
    abandoned, deferred, dead, completed = [await client.next() for _ in range(4)]
    await client.settle(deferred, Defer())
    await client.settle(dead, Reject("bad"))
    await broker.settle("sessions", completed.token, Complete())
    client.receiver.grant(1)
    await client.settle(abandoned, Abandon())
    assert (await client.next()).stored.delivery_count == 1
    assert body_of(await Client.of(broker, "sessions" + DEAD).next()) == "c"
    number = deferred.stored.sequence_number
    (again,) = await broker.receive_deferred("sessions", [number], receive_and_delete=False, session_id="s")
    await client.settle(again, Complete())
    assert [body_of(each) for each in await broker.peek("sessions", 0, 10, "s")] == ["a"]
    assert await broker.peek("sessions", 0, 10, "other") == []
    with pytest.raises(SessionLockLost):
        await broker.receive_deferred("sessions", [number], receive_and_delete=False, session_id="other")


async def test_a_session_released_or_abandoned_over_and_over_ends_in_the_dead_letters(broker):
    await broker.send("sessions", [message("a", session_id="s")])
    client = await Client.of_session(broker, "sessions", "s")
    for _ in range(3):
        await client.settle(await client.next(), Abandon())
    assert properties_of(await Client.of(broker, "sessions" + DEAD).next())["DeadLetterReason"] == "MaxDeliveryCountExceeded"
