"""What every bus must do, whichever adapter is behind it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import Undeliverable
from bridge.ports import Ack, Delivery, Message

EVENT = (
    b'{"specversion":"1.0","id":"1","source":"/test","type":"test","datacontenttype":"application/json","data":{"big":1152921504606846976}}'
)


async def test_a_message_arrives_as_it_was_sent(ports, inbox):
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT)])
    delivery = await inbox.next()
    assert (delivery.message.body, delivery.message.topic, delivery.source) == (EVENT, ports.topic, ports.source)
    assert delivery.attempt >= 1


async def test_a_message_waits_for_its_reader(ports, inbox):
    await ports.bus.publish([Message(ports.topic, EVENT)])
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    assert (await inbox.next()).message.body == EVENT


async def test_a_message_that_is_done_does_not_come_back(ports, inbox):
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT)])
    await inbox.next()
    assert await inbox.stays_empty()


@pytest.mark.parametrize("trouble", [Ack.RETRY, RuntimeError("broken")], ids=["retry", "exception"])
async def test_a_message_that_met_trouble_comes_back(ports, inbox, trouble):
    inbox.answers = [trouble, trouble]
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT)])
    assert [delivery.message.body for delivery in await inbox.take(3)] == [EVENT] * 3
    assert await inbox.stays_empty()


async def test_trouble_with_one_message_does_not_hold_up_the_others(ports, inbox):
    inbox.answers = [Ack.RETRY]
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT), Message(ports.topic, EVENT + b" ")])
    assert {delivery.message.body for delivery in await inbox.take(3)} == {EVENT, EVENT + b" "}


async def test_every_message_of_many_publishers_arrives(ports, inbox):
    await ports.bus.subscribe(ports.source, inbox, concurrency=16)
    bodies = [EVENT + b" " * number for number in range(200)]
    await asyncio.gather(*(ports.bus.publish([Message(ports.topic, body)]) for body in bodies))
    assert {delivery.message.body for delivery in await inbox.take(200)} == set(bodies)


async def test_one_call_publishes_to_several_topics(ports, inbox):
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    await ports.bus.subscribe(ports.other_source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT), Message(ports.other_topic, EVENT)])
    assert {delivery.source for delivery in await inbox.take(2)} == {ports.source, ports.other_source}


async def test_publishing_nothing_is_no_error(ports):
    await ports.bus.publish([])


async def test_a_handler_may_publish(ports, inbox):
    async def passes_on(delivery: Delivery) -> Ack:
        await ports.bus.publish([Message(ports.other_topic, delivery.message.body)])
        return Ack.DONE

    await ports.bus.subscribe(ports.source, passes_on, concurrency=1)
    await ports.bus.subscribe(ports.other_source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT)])
    assert (await inbox.next()).message.body == EVENT


async def test_no_more_handlers_run_at_once_than_was_asked_for(ports):
    running, most, ended = 0, 0, asyncio.Semaphore(0)

    async def counts(_: Delivery) -> Ack:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        ended.release()
        return Ack.DONE

    await ports.bus.subscribe(ports.source, counts, concurrency=3)
    await ports.bus.publish([Message(ports.topic, EVENT) for _ in range(12)])
    for _ in range(12):
        await asyncio.wait_for(ended.acquire(), 10)
    assert most == 3


async def test_a_message_for_later_arrives(ports, inbox):
    await ports.bus.subscribe(ports.source, inbox, concurrency=1)
    await ports.bus.publish([Message(ports.topic, EVENT, deliver_at=datetime.now(UTC) + timedelta(seconds=1))])
    assert (await inbox.next()).message.body == EVENT


async def test_a_topic_that_does_not_exist_is_refused_for_good(ports):
    with pytest.raises(Undeliverable):
        await ports.bus.publish([Message("no-such-topic", EVENT)])


async def test_a_message_that_is_too_large_is_refused_for_good(ports):
    with pytest.raises(Undeliverable):
        await ports.bus.publish([Message(ports.topic, b'{"data":"' + b"x" * 3 * 2**20 + b'"}')])
