"""Asks for automations over a namespace, as any application does with Azure's client."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from bridge.adapters.servicebus.client import opened, port_errors
from bridge.cloudevents import STRUCTURED
from bridge.ports import ReceivedReply
from bridge.settings import ServiceBusNamespace

_LOOK = 2.0  #: seconds of one look for replies
_AT_ONCE = 50  #: replies of one look


class AzureRequester:
    """Implements `ports.Requester`. `replies` is `topic/subscription`."""

    def __init__(self, client: ServiceBusClient, requests: str, replies: str) -> None:
        self._client, self._requests = client, requests
        self._topic, _, self._subscription = replies.partition("/")

    @classmethod
    @asynccontextmanager
    async def open(cls, where: ServiceBusNamespace, requests: str, replies: str) -> AsyncIterator[AzureRequester]:
        """A requester while the context is open. Raises ConfigurationError."""
        async with opened(where) as client:
            yield cls(client, requests, replies)

    async def ask(self, asked: Mapping[str, Mapping[str, Any]], seconds: float) -> Mapping[str, ReceivedReply]:
        """Publish the events, and read replies until all have come or the time is over. Raises Unavailable or Undeliverable."""
        found: dict[str, ReceivedReply] = {}
        with port_errors(self._requests):
            async with self._client.get_topic_sender(self._requests) as sender:
                began = time.monotonic()
                for each in asked.values():
                    await sender.send_messages(ServiceBusMessage(json.dumps(each), content_type=STRUCTURED, message_id=each["id"]))
        with port_errors(f"{self._topic}/{self._subscription}"):
            async with self._client.get_subscription_receiver(self._topic, self._subscription) as receiver:
                while len(found) < len(asked) and (left := began + seconds - time.monotonic()) > 0:
                    await self._look(receiver, asked, found, began, left)
        return found

    async def _look(
        self, receiver: ServiceBusReceiver, asked: Mapping[str, object], found: dict[str, ReceivedReply], began: float, left: float
    ) -> None:
        """Take what is there. A reply to nobody who waits is one that came too late for an earlier round."""
        for message in await receiver.receive_messages(max_message_count=_AT_ONCE, max_wait_time=min(_LOOK, max(left, 0.1))):
            await receiver.complete_message(message)
            if message.correlation_id in asked:
                found[str(message.correlation_id)] = ReceivedReply(_event(message.body), time.monotonic() - began)


def _event(body: Any) -> Mapping[str, Any]:
    try:
        event = json.loads(b"".join(body))
    except (ValueError, TypeError):
        return {}
    return event if isinstance(event, dict) else {}
