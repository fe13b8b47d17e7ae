"""Messages of an entity with sessions."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.amqp.amqptypes import Described, ULong
from bridge.amqp.encode import encode
from bridge.local.functions.feed import Settlement, Wanted
from bridge.local.functions.servicebus.namespaces import own_queue
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed

from .feed_kit import QUICK, Inbox, draft, running
from .namespace import TOPIC, Namespace


def in_session(session: str, text: str) -> bytes:
    fields = [None] * 10 + [session]
    return encode(Described(ULong(0x73), fields)) + encode(Described(ULong(0x75), text.encode()))


async def put_in(namespace: Namespace, session: str, text: str) -> None:
    await namespace.bus.send(TOPIC, [draft(in_session(session, text))])


async def test_messages_of_a_session_come_in_their_order_and_sessions_beside_each_other(tmp_path: Path) -> None:
    async with Namespace(tmp_path, sessions=True) as namespace, running(ServiceBusFeed(own_queue(tmp_path), QUICK)) as feed:
        for text in ("1", "2", "3"):
            await put_in(namespace, "a", text)
            await put_in(namespace, "b", text)
        inbox = Inbox(feed, Wanted(1, sessions=2))
        seen: dict[str, list[bytes]] = {"a": [], "b": []}
        first, second = await inbox.next(), await inbox.next()
        assert {first.properties["sessionId"], second.properties["sessionId"]} == {"a", "b"}
        for received in (first, second):
            seen[received.properties["sessionId"]].append(received.body)
            await feed.settle(received.lock, Settlement.COMPLETE)
        for _ in range(4):
            received = await inbox.complete()
            seen[received.properties["sessionId"]].append(received.body)
        assert seen == {"a": [b"1", b"2", b"3"], "b": [b"1", b"2", b"3"]}


async def test_a_session_without_messages_makes_room_for_the_next(tmp_path: Path) -> None:
    async with Namespace(tmp_path, sessions=True) as namespace, running(ServiceBusFeed(own_queue(tmp_path), QUICK)) as feed:
        inbox = Inbox(feed, Wanted(1, sessions=1, session_idle=0.3))
        for session in ("a", "b", "c"):
            await put_in(namespace, session, session)
        assert [(await inbox.complete()).body for _ in range(3)] == [b"a", b"b", b"c"]


async def test_a_session_is_kept_locked_while_its_message_is_worked_on(tmp_path: Path) -> None:
    async with Namespace(tmp_path, lock="PT1.2S", sessions=True) as namespace, running(ServiceBusFeed(own_queue(tmp_path), QUICK)) as feed:
        inbox = Inbox(feed, Wanted(1, sessions=2))
        await put_in(namespace, "a", "1")
        received = await inbox.next()
        await asyncio.sleep(2.5)
        assert inbox.came.empty()
        await feed.settle(received.lock, Settlement.COMPLETE)
        assert namespace.depth == 0
