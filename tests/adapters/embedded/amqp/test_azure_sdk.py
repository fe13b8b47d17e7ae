"""azure-servicebus, unmodified, sync and async: what the facts about Service Bus list for a broker on this machine."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.adapters.embedded.amqp.sdk_kit import Connect

ALL = {"max_message_count": 100}


async def send(client: Any, entity: str, *messages: ServiceBusMessage, topic: bool = False) -> None:
    async with client.get_topic_sender(entity) if topic else client.get_queue_sender(entity) as sender:
        for message in messages:
            await sender.send_messages(message)


async def take(receiver: Any, count: int = 1, patience: float = 5) -> list[Any]:
    """`count` messages; a receive gives what is there, so it may take several."""
    found: list[Any] = []
    while len(found) < count:
        got = await receiver.receive_messages(max_message_count=count - len(found), max_wait_time=patience)
        assert got, f"{len(found)} of {count} messages came"
        found += got
    return found


async def nothing(receiver: Any, patience: float = 0.5) -> None:
    assert await receiver.receive_messages(max_message_count=1, max_wait_time=patience) == []


def body(message: Any) -> bytes:
    return b"".join(message.body)


async def test_a_message_is_sent_received_and_completed(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        await send(client, "plain", ServiceBusMessage(b"hello"))
        (message,) = await take(receiver)
        assert (body(message), message.delivery_count) == (b"hello", 0)
        await receiver.complete_message(message)
        await nothing(receiver)


async def test_a_batch_and_a_list_of_one_arrive_in_their_order(connect: Connect) -> None:
    async with connect() as client, client.get_queue_sender("plain") as sender, client.get_queue_receiver("plain") as receiver:
        batch = await sender.create_message_batch()
        for number in range(50):
            batch.add_message(ServiceBusMessage(str(number)))
        await sender.send_messages(batch)
        await sender.send_messages([ServiceBusMessage("last")])
        found = await take(receiver, 51)
        assert [body(each).decode() for each in found] == [*map(str, range(50)), "last"]
        for each in found:
            await receiver.complete_message(each)


async def test_a_large_message_goes_in_and_out_in_many_frames(connect: Connect) -> None:
    large = bytes(range(256)) * 3600
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        await send(client, "plain", ServiceBusMessage(large))
        (message,) = await take(receiver)
        assert body(message) == large
        await receiver.complete_message(message)


async def test_a_message_that_is_too_large_is_refused_and_the_sender_goes_on(connect: Connect) -> None:
    async with connect() as client, client.get_queue_sender("plain") as sender:
        with pytest.raises(ServiceBusError):
            await sender.send_messages(ServiceBusMessage(b"x" * 2**21))
        await sender.send_messages(ServiceBusMessage(b"small"))


async def test_properties_go_round_with_their_types(connect: Connect) -> None:
    given = {"text": "zwölf", "whole": 7, "half": 0.5, "yes": True, "id": uuid.uuid4(), "nothing": None}
    sent = ServiceBusMessage(
        b"{}",
        application_properties=dict(given),
        message_id="id-1",
        correlation_id="corr",
        subject="subject",
        to="to",
        reply_to="reply",
        content_type="application/json",
        partition_key="key",
        time_to_live=timedelta(minutes=5),
    )
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        await send(client, "plain", sent)
        (found,) = await take(receiver)
        await receiver.complete_message(found)
    names = ("message_id", "correlation_id", "subject", "to", "reply_to", "content_type", "partition_key", "time_to_live")
    assert [getattr(found, name) for name in names] == [getattr(sent, name) for name in names]
    properties = {key.decode() if isinstance(key, bytes) else key: value for key, value in found.application_properties.items()}
    text = {key: value.decode() if isinstance(value, bytes) and key == "text" else value for key, value in properties.items()}
    assert text == given
    assert abs(found.enqueued_time_utc - datetime.now(UTC)) < timedelta(seconds=30)
    assert found.expires_at_utc == found.enqueued_time_utc + timedelta(minutes=5)
    assert found.sequence_number > 0


async def test_bodies_of_values_keep_their_form(connect: Connect) -> None:
    async with connect() as client, client.get_queue_sender("plain") as sender, client.get_queue_receiver("plain") as receiver:
        await sender.send_messages(AmqpAnnotatedMessage(value_body={"a": 1}))
        (message,) = await take(receiver)
        assert message.body_type is AmqpMessageBodyType.VALUE
        assert message.body == {b"a": 1}
        await receiver.complete_message(message)


async def test_an_abandoned_message_comes_back_until_its_count_is_used_up(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("three") as receiver:
        await send(client, "three", ServiceBusMessage(b"x"))
        for count in range(3):
            (message,) = await take(receiver)
            assert message.delivery_count == count
            await receiver.abandon_message(message)
        async with client.get_queue_receiver("three", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (letter,) = await take(dead)
            assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"
            assert letter.dead_letter_source.lower() == "three"
            await dead.complete_message(letter)


async def test_a_dead_letter_keeps_reason_description_and_properties(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        await send(client, "plain", ServiceBusMessage(b"bad", application_properties={"kept": 1}))
        (message,) = await take(receiver)
        await receiver.dead_letter_message(message, reason="Reason", error_description="Description")
        async with client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (letter,) = await take(dead)
            assert (letter.dead_letter_reason, letter.dead_letter_error_description) == ("Reason", "Description")
            assert (body(letter), letter.application_properties[b"kept"]) == (b"bad", 1)
            await dead.complete_message(letter)


async def test_a_renewed_lock_lasts_beyond_its_duration(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("short") as receiver:
        await send(client, "short", ServiceBusMessage(b"x"))
        (message,) = await take(receiver)
        for _ in range(3):
            await asyncio.sleep(0.5)
            before = message.locked_until_utc
            assert await receiver.renew_message_lock(message) > before
        await receiver.complete_message(message)
        await nothing(receiver, 1.5)


async def test_a_message_whose_lock_ended_is_delivered_again_and_the_old_lock_is_worth_nothing(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("short") as receiver:
        await send(client, "short", ServiceBusMessage(b"x"))
        (message,) = await take(receiver)
        async with client.get_queue_receiver("short") as other:
            (again,) = await take(other)
            assert again.delivery_count == 1
            with pytest.raises(MessageLockLostError):
                await receiver.complete_message(message)
            (third,) = (again,)
            await other.complete_message(third)


async def test_peeking_changes_nothing(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        assert await receiver.peek_messages(max_message_count=5) == []
        await send(client, "plain", *(ServiceBusMessage(str(number)) for number in range(5)))
        found = await receiver.peek_messages(max_message_count=10, sequence_number=1)
        assert [body(each) for each in found] == [b"0", b"1", b"2", b"3", b"4"]
        later = await receiver.peek_messages(max_message_count=10, sequence_number=found[3].sequence_number)
        assert [body(each) for each in later] == [b"3", b"4"]
        for each in await take(receiver, 5):
            assert each.delivery_count == 0
            await receiver.complete_message(each)


async def test_a_deferred_message_waits_for_who_asks_by_its_number(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        await send(client, "plain", ServiceBusMessage(b"later"))
        (message,) = await take(receiver)
        await receiver.defer_message(message)
        await nothing(receiver)
        (deferred,) = await receiver.receive_deferred_messages(message.sequence_number)
        assert body(deferred) == b"later"
        await receiver.complete_message(deferred)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(message.sequence_number)


async def test_a_scheduled_message_comes_at_its_time_unless_it_is_cancelled(connect: Connect) -> None:
    async with connect() as client, client.get_queue_sender("plain") as sender, client.get_queue_receiver("plain") as receiver:
        at = datetime.now(UTC) + timedelta(seconds=1.5)
        kept, cancelled = await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("cancelled")], at)
        await sender.cancel_scheduled_messages(cancelled)
        (message,) = await take(receiver)
        assert (body(message), message.sequence_number) == (b"kept", kept)
        assert datetime.now(UTC) >= at - timedelta(milliseconds=50)
        await receiver.complete_message(message)
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(cancelled)


async def test_a_message_with_a_time_in_it_waits_for_it(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        at = datetime.now(UTC) + timedelta(seconds=1.5)
        await send(client, "plain", ServiceBusMessage(b"x", scheduled_enqueue_time_utc=at))
        (message,) = await take(receiver)
        assert datetime.now(UTC) >= at - timedelta(milliseconds=50)
        await receiver.complete_message(message)


async def test_a_message_to_a_topic_reaches_each_subscription_whose_rule_it_passes(connect: Connect) -> None:
    red = ServiceBusMessage(b"red", subject="order", application_properties={"color": "red"})
    blue = ServiceBusMessage(b"blue", subject="order", application_properties={"color": "blue"})
    async with (
        connect() as client,
        client.get_subscription_receiver("events", "all") as everything,
        client.get_subscription_receiver("events", "red") as some,
    ):
        await send(client, "events", red, blue, topic=True)
        both, one = await take(everything, 2), await take(some, 1)
        assert [body(each) for each in both] == [b"red", b"blue"]
        assert [body(each) for each in one] == [b"red"]
        for each in both:
            await everything.complete_message(each)
        await some.dead_letter_message(one[0], reason="why")
        async with client.get_subscription_receiver("events", "red", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (letter,) = await take(dead)
            assert letter.dead_letter_reason == "why"


async def test_receive_and_delete_takes_messages_at_once(connect: Connect) -> None:
    async with connect() as client:
        await send(client, "plain", *(ServiceBusMessage(str(number)) for number in range(3)))
        async with client.get_queue_receiver("plain", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
            assert len(await take(receiver, 3)) == 3
            await nothing(receiver)


async def test_an_expired_message_becomes_a_dead_letter_or_is_dropped(connect: Connect) -> None:
    async with connect() as client:
        for queue in ("expiring", "dropping"):
            await send(client, queue, ServiceBusMessage(b"x", time_to_live=timedelta(seconds=1)))
        await asyncio.sleep(1.3)
        async with client.get_queue_receiver("dropping") as receiver:
            await nothing(receiver)
        async with client.get_queue_receiver("expiring", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (letter,) = await take(dead)
            assert letter.dead_letter_reason == "TTLExpiredException"


async def test_a_repeated_message_id_is_dropped_where_the_queue_says_so(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("distinct") as receiver:
        await send(client, "distinct", *(ServiceBusMessage(str(number), message_id="same") for number in range(3)))
        assert [body(each) for each in await take(receiver, 1)] == [b"0"]
        await nothing(receiver)


async def test_a_queue_that_forwards_hands_its_messages_on(connect: Connect) -> None:
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        await send(client, "onward", ServiceBusMessage(b"x"))
        (message,) = await take(receiver)
        await receiver.complete_message(message)


async def test_an_entity_that_does_not_exist_is_named_as_missing(connect: Connect) -> None:
    async with connect() as client:
        # In these words, because @azure/core-amqp looks for them.
        with pytest.raises(MessagingEntityNotFoundError, match=r"The messaging entity .* could not be found"):
            await send(client, "missing", ServiceBusMessage(b"x"))
        with pytest.raises(MessagingEntityNotFoundError):
            async with client.get_queue_receiver("missing") as receiver:
                await take(receiver)
        await send(client, "plain", ServiceBusMessage(b"x"))


async def test_a_session_is_delivered_in_order_to_who_has_locked_it(connect: Connect) -> None:
    async with connect() as client:
        for number in range(5):
            await send(client, "long-sessions", ServiceBusMessage(str(number), session_id="a"), ServiceBusMessage("x", session_id="b"))
        async with client.get_queue_receiver("long-sessions", session_id="a") as receiver:
            assert receiver.session.session_id == "a"
            found = await take(receiver, 5)
            assert [body(each) for each in found] == [b"0", b"1", b"2", b"3", b"4"]
            assert {each.session_id for each in found} == {"a"}
            for each in found:
                await receiver.complete_message(each)


async def test_a_session_keeps_a_state(connect: Connect) -> None:
    async with connect() as client:
        await send(client, "long-sessions", ServiceBusMessage(b"x", session_id="state"))
        async with client.get_queue_receiver("long-sessions", session_id="state") as receiver:
            assert await receiver.session.get_state() is None
            await receiver.session.set_state(b"kept")
        async with client.get_queue_receiver("long-sessions", session_id="state") as receiver:
            assert await receiver.session.get_state() == b"kept"


async def test_the_lock_of_a_session_can_be_renewed_and_lost(connect: Connect) -> None:
    async with connect() as client:
        await send(client, "sessions", ServiceBusMessage(b"x", session_id="lock"))
        async with client.get_queue_receiver("sessions", session_id="lock") as receiver:
            (message,) = await take(receiver)
            for _ in range(3):
                await asyncio.sleep(0.5)
                await receiver.session.renew_lock()
            await asyncio.sleep(1.5)
            with pytest.raises(SessionLockLostError):
                await receiver.complete_message(message)


async def test_a_session_has_one_receiver_at_a_time(connect: Connect) -> None:
    async with connect() as client:
        await send(client, "long-sessions", ServiceBusMessage(b"x", session_id="one"))
        async with client.get_queue_receiver("long-sessions", session_id="one"):
            with pytest.raises(SessionCannotBeLockedError):
                async with client.get_queue_receiver("long-sessions", session_id="one"):
                    pass


async def test_the_next_session_is_one_that_has_messages_and_no_receiver(connect: Connect) -> None:
    async with connect() as client:
        await send(client, "long-sessions", ServiceBusMessage(b"x", session_id="next"))
        async with client.get_queue_receiver("long-sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as receiver:
            assert receiver.session.session_id == "next"
            with pytest.raises(OperationTimeoutError):
                async with client.get_queue_receiver("long-sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1):
                    pass


async def test_a_wrong_key_is_refused(connect: Connect) -> None:
    async with connect(key="wrong") as client:
        with pytest.raises(ServiceBusAuthenticationError):
            await send(client, "plain", ServiceBusMessage(b"x"))


async def test_forty_clients_at_once(connect: Connect) -> None:
    async def one(number: int) -> None:
        async with connect() as client:
            await send(client, "plain", ServiceBusMessage(str(number)))

    await asyncio.gather(*(one(number) for number in range(40)))
    async with connect() as client, client.get_queue_receiver("plain") as receiver:
        assert {body(each) for each in await take(receiver, 40)} == {str(number).encode() for number in range(40)}
