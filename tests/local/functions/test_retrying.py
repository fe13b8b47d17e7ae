"""What is sent again when a namespace refuses it, and what is not."""

from __future__ import annotations

import pytest

from bridge.adapters.embedded.amqp.brokererrors import EntityNotFound, NotAllowed
from bridge.local.functions.feed import FeedError, OutputMessage
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed

from .namespace import Namespace, busy


async def test_what_a_throttled_namespace_refuses_is_sent_again_once_each(namespace: Namespace, feed: ServiceBusFeed) -> None:
    namespace.refusals = [busy(), busy()]
    await feed.send([OutputMessage("results", b"1", ""), OutputMessage("results", b"2", "")])
    assert sorted(namespace.bodies()) == [1, 2]


async def test_a_namespace_that_stays_busy_is_an_error_after_all_retries(namespace: Namespace, feed: ServiceBusFeed) -> None:
    namespace.refusals = [busy() for _ in range(4)]
    with pytest.raises(FeedError, match="throttled"):
        await feed.send([OutputMessage("results", b"1", "")])
    assert namespace.steps.count("send") == 4


@pytest.mark.parametrize("refusal", [NotAllowed("The topic is disabled."), EntityNotFound("There is no such topic.")])
async def test_what_a_repeat_cannot_change_is_an_error_at_once(namespace: Namespace, feed: ServiceBusFeed, refusal: Exception) -> None:
    namespace.refusals = [refusal]
    with pytest.raises(FeedError, match=str(refusal)):
        await feed.send([OutputMessage("results", b"1", "")])
    assert namespace.steps.count("send") == 1
