"""Connections that break, links that are detached, and tokens and keys that end, seen from the feed."""

from __future__ import annotations

import asyncio

import pytest

from bridge.local.functions.feed import FeedError, OutputMessage, Settlement, Wanted
from bridge.local.functions.servicebus.namespaces import NamespaceAddress
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed
from bridge.local.functions.servicebus.tokens import KeyTokens

from .feed_kit import QUICK, Inbox, running
from .namespace import KEY, KEY_NAME, Namespace


async def test_a_connection_that_is_cut_is_made_again_and_its_messages_come_again(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(2))
    await namespace.put({})
    lost = await inbox.next()
    namespace.hang_up()
    again = await inbox.next()
    with pytest.raises(FeedError, match="lock"):
        await feed.settle(lost.lock, Settlement.COMPLETE)
    await feed.settle(again.lock, Settlement.COMPLETE)
    assert (again.properties["deliveryCount"], namespace.depth) == (2, 0)


async def test_a_broker_that_goes_away_and_comes_back_is_found_again(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put(1)
    await inbox.complete()
    await namespace.go_away()
    await asyncio.sleep(0.3)
    await namespace.listen()
    await namespace.put(2)
    assert (await inbox.complete()).body == b"2"
    await feed.send([OutputMessage("results", b"3", "")])
    assert namespace.bodies() == [3]


async def test_what_is_sent_while_the_connection_is_away_is_sent_when_it_is_back(namespace: Namespace, feed: ServiceBusFeed) -> None:
    await feed.send([OutputMessage("results", b"1", "")])
    await namespace.go_away()
    sending = asyncio.create_task(feed.send([OutputMessage("results", b"2", "")]))
    await asyncio.sleep(0.3)
    await namespace.listen()
    await sending
    assert namespace.bodies() == [1, 2]


async def test_a_link_that_the_service_detaches_is_attached_again(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put(1)
    await inbox.complete()
    namespace.detach()
    await namespace.put(2)
    assert (await inbox.complete()).body == b"2"
    assert namespace.steps.count("receive") == 2


async def test_a_message_whose_link_was_detached_is_settled_by_its_lock(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put(1)
    received = await inbox.next()
    namespace.detach()
    await asyncio.sleep(0.2)
    await feed.settle(received.lock, Settlement.COMPLETE)
    assert namespace.depth == 0


class ShortLived:
    """The namespace with tokens that end soon."""

    title = "the namespace of a test"

    def __init__(self, namespace: Namespace, life: float) -> None:
        self._port, self._tokens = namespace.port, KeyTokens(KEY_NAME, KEY, life)

    def address(self) -> NamespaceAddress:
        return NamespaceAddress("127.0.0.1", self._port, None, self._tokens)


async def test_tokens_are_shown_anew_before_they_end(namespace: Namespace) -> None:
    async with running(ServiceBusFeed(ShortLived(namespace, 2.5), QUICK)) as feed:
        inbox = Inbox(feed, Wanted(1))
        await namespace.put(1)
        await inbox.complete()
        await asyncio.sleep(4)
        await namespace.put(2)
        await inbox.complete()
        assert namespace.steps.count("receive") == 1


async def test_a_link_that_is_detached_because_its_token_has_ended_is_attached_with_a_new_one(
    namespace: Namespace, feed: ServiceBusFeed
) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put(1)
    await inbox.complete()
    for protocol in namespace.server._protocols:
        protocol.connection.access._grants = dict.fromkeys(protocol.connection.access._grants, 1.0)
    await namespace.until(2, "receive")
    await namespace.put(2)
    await inbox.complete()


async def test_a_key_that_is_exchanged_in_the_file_is_taken_at_the_next_connection(namespace: Namespace, feed: ServiceBusFeed) -> None:
    inbox = Inbox(feed, Wanted(1))
    await namespace.put(1)
    await inbox.complete()
    namespace.keys[KEY_NAME] = "another"
    namespace.write("another")
    namespace.hang_up()
    await namespace.put(2)
    await inbox.complete()
