"""The feed against a broker over AMQP: messages that come, their settlements and locks, and messages that are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.amqp.amqptypes import Described, Long, UInt, ULong, Uri
from bridge.amqp.encode import encode
from bridge.local.functions.feed import FeedError, OutputMessage, Settlement, Wanted
from bridge.local.functions.servicebus.namespaces import own_queue
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed

from .feed_kit import ENTITY, QUICK, Inbox, draft, running
from .namespace import TOPIC, Namespace


async def settled(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.01)


async def test_a_completed_message_is_gone_when_the_settlement_returns(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(4))
    await namespace.put({"n": 1})
    received = await inbox.complete()
    assert received.body == b'{"n": 1}'
    assert namespace.depth == 0


async def test_a_message_comes_with_what_a_trigger_shows(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put({}, applicationProperties={"colour": "red"})
    properties = (await inbox.complete()).properties
    known = {name: properties[name] for name in ("messageId", "correlationId", "contentType", "deliveryCount", "applicationProperties")}
    assert known == {
        "messageId": "m-1",
        "correlationId": "c-1",
        "contentType": "application/json",
        "deliveryCount": 1,
        "applicationProperties": {"colour": "red"},
    }
    assert datetime.fromisoformat(properties["lockedUntil"]) > datetime.fromisoformat(properties["enqueuedTime"])
    assert properties["sequenceNumber"] > 0


async def test_what_json_has_no_type_for_is_text_and_the_message_keeps_its_amqp_types(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    given = {
        "long": Long(5),
        "uint": UInt(6),
        "decimal": Decimal("1.5"),
        "uuid": UUID(int=7),
        "time": datetime(2026, 11, 28, 10, tzinfo=UTC),
        "span": timedelta(hours=1),
        "uri": Uri("https://a.b/"),
        "bytes": b"\x00\xff",
        "none": None,
        "yes": True,
    }
    message = encode(Described(ULong(0x74), given)) + encode(Described(ULong(0x75), b"{}"))
    await namespace.bus.send(TOPIC, [draft(message)])
    received = await inbox.complete()
    assert received.properties["applicationProperties"] == {
        "long": 5,
        "uint": 6,
        "decimal": 1.5,
        "uuid": str(UUID(int=7)),
        "time": "2026-11-28T10:00:00Z",
        "span": "01:00:00",
        "uri": "https://a.b/",
        "bytes": "AP8=",
        "none": None,
        "yes": True,
    }
    kept = incoming(received.encoded).properties
    assert (type(kept["long"]), type(kept["uint"]), kept["time"], kept["span"]) == (Long, UInt, given["time"], given["span"])


async def test_no_more_messages_are_out_than_wanted_and_each_that_is_settled_lets_one_follow(
    namespace: Namespace, feed: ServiceBusFeed
) -> None:
    inbox = Inbox(feed, Wanted(2))
    for number in range(4):
        await namespace.put(number)
    first, second = await inbox.next(), await inbox.next()
    await asyncio.sleep(0.2)
    assert inbox.came.empty()
    await feed.settle(first.lock, Settlement.COMPLETE)
    third = await inbox.next()
    assert {first.body, second.body, third.body} == {b"0", b"1", b"2"}


async def test_a_message_that_is_abandoned_comes_again_and_counts(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put({})
    counts = []
    for _ in range(3):
        received = await inbox.next()
        counts.append(received.properties["deliveryCount"])
        await feed.settle(received.lock, Settlement.ABANDON)
    await settled(lambda: namespace.dead == 1)
    assert counts == [1, 2, 3]


async def test_a_message_that_is_given_back_does_not_count_as_delivered(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put({})
    for _ in range(5):
        received = await inbox.next()
        await feed.settle(received.lock, Settlement.RELEASE)
    assert (await inbox.complete()).properties["deliveryCount"] == 1


async def test_who_has_left_gives_back_what_still_comes_at_a_pace(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put({})
    held = await inbox.next()
    feed.leave(ENTITY)
    for _ in range(3):
        await namespace.put({})
    await asyncio.sleep(0.3)
    assert inbox.came.empty()
    assert namespace.steps.count("release") <= 6  # one that spins gives back a hundred in this time
    await feed.settle(held.lock, Settlement.COMPLETE)
    assert namespace.depth == 3


async def test_what_is_held_when_the_feed_closes_comes_again_at_once(namespace: Namespace) -> None:
    async with running(ServiceBusFeed(own_queue(namespace.data_dir), QUICK)) as first:
        inbox = Inbox(first, Wanted(2))
        await namespace.put({})
        await inbox.next()
    async with running(ServiceBusFeed(own_queue(namespace.data_dir), QUICK)) as second:
        assert (await Inbox(second, Wanted(2)).next(5)).properties["deliveryCount"] == 2


async def test_messages_are_sent_in_their_order_and_each_has_an_id_of_its_own(namespace: Namespace, feed: ServiceBusFeed) -> None:
    await feed.send([OutputMessage("results", str(number).encode(), "text/plain") for number in range(20)])
    assert namespace.bodies() == list(range(20))


async def test_a_large_message_is_sent_and_received_whole(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    text = "x" * 900_000
    await namespace.put(text)
    assert len((await inbox.complete()).body) == 900_002
    await feed.send([OutputMessage("results", text.encode(), "text/plain")])
    assert namespace.sent[0].body == text.encode()


async def test_a_message_that_is_too_large_is_refused_with_both_sizes(namespace: Namespace, feed: ServiceBusFeed) -> None:
    with pytest.raises(FeedError, match=r"2000\d* bytes; results takes 1048576"):
        await feed.send([OutputMessage("results", b"x" * 2_000_000, "text/plain")])


async def test_a_lock_that_has_ended_is_an_error_and_the_message_comes_again(tmp_path: Path) -> None:
    async with Namespace(tmp_path, lock="PT0.2S") as namespace, running(ServiceBusFeed(own_queue(tmp_path), QUICK)) as feed:
        inbox = Inbox(feed, Wanted(2))
        await namespace.put({})
        late = await inbox.next()
        again = await inbox.next()
        with pytest.raises(FeedError, match="lock"):
            await feed.settle(late.lock, Settlement.COMPLETE)
        assert again.properties["deliveryCount"] == 2


async def test_a_lock_is_kept_as_long_as_it_is_renewed(tmp_path: Path) -> None:
    async with Namespace(tmp_path, lock="PT0.6S") as namespace, running(ServiceBusFeed(own_queue(tmp_path), QUICK)) as feed:
        inbox = Inbox(feed, Wanted(2))
        await namespace.put({})
        received = await inbox.next()
        for _ in range(4):
            await asyncio.sleep(0.3)
            assert await feed.renew(received.lock) is not None
        await feed.settle(received.lock, Settlement.COMPLETE)
        assert inbox.came.empty()


async def test_an_entity_that_is_missing_keeps_nobody_else_waiting(
    namespace: Namespace, feed: ServiceBusFeed, caplog: pytest.LogCaptureFixture
) -> None:
    feed.receive("nowhere", Wanted(1), lambda _: None)
    inbox = Inbox(feed, Wanted(1))
    await namespace.put(1)
    await inbox.complete()
    await settled(lambda: "Nothing comes from nowhere" in caplog.text)
    assert caplog.text.count("Nothing comes from nowhere") == 1
