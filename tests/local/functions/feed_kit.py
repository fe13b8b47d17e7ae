"""A feed on the namespace of a test, and what it hands over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.drafts import Draft
from bridge.local.functions.feed import Received, Settlement, Wanted
from bridge.local.functions.servicebus.retrying import RetryPolicy
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed

from .namespace import SUBSCRIPTION, TOPIC

ENTITY = f"{TOPIC}/Subscriptions/{SUBSCRIPTION}"
QUICK = RetryPolicy(delay=0.05, busy=0.1)


class Inbox:
    """What the feed has handed over."""

    def __init__(self, feed: ServiceBusFeed, wanted: Wanted) -> None:
        self.feed, self.came = feed, asyncio.Queue[Received]()
        feed.receive(ENTITY, wanted, self.came.put_nowait)

    async def next(self, seconds: float = 10) -> Received:
        return await asyncio.wait_for(self.came.get(), seconds)

    async def complete(self) -> Received:
        received = await self.next()
        await self.feed.settle(received.lock, Settlement.COMPLETE)
        return received


@asynccontextmanager
async def running(feed: ServiceBusFeed) -> AsyncIterator[ServiceBusFeed]:
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        await feed.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def draft(message: bytes) -> Draft:
    return Draft.of_incoming(TOPIC, incoming(message))
