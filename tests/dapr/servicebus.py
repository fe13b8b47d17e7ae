"""A program on Service Bus that is no part of the bridge and has no sidecar: it sends and receives with azure-servicebus."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError

#: Why nothing could be sent or received; whether it has been done is not known.
AWAY = (ServiceBusError, OSError, TimeoutError)
WAIT = 10.0  #: seconds that a read waits for a message
CLOUDEVENTS = "application/cloudevents+json"


@dataclass
class ServiceBus:
    """One connection. Names of entities are `queue` or `topic/subscription`; everything raises one of AWAY.

    Many tasks may use it at a time. Senders and receivers of azure-servicebus must not be used so, hence their locks.
    """

    client: ServiceBusClient
    stack: AsyncExitStack
    queues: frozenset[str]
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _senders: dict[str, ServiceBusSender] = field(default_factory=dict)
    _receivers: dict[str, ServiceBusReceiver] = field(default_factory=dict)

    async def send(self, topic: str, body: bytes, **properties: Any) -> None:
        """Bytes as they are, whatever they say."""
        async with self._locks[f"to {topic}"]:
            await (await self._sender(topic)).send_messages(ServiceBusMessage(body, **properties))

    async def send_event(self, topic: str, event: dict[str, Any]) -> None:
        """A CloudEvent in the body, as requesters without Dapr send it."""
        await self.send(topic, json.dumps(event).encode(), content_type=CLOUDEVENTS, message_id=event["id"], subject=event.get("subject"))

    async def receive(self, entity: str) -> tuple[Any, str]:
        """The next event and its sequence number; completed at once."""
        event, number, complete = await self.peek_lock(entity)
        await complete()
        return event, number

    async def peek_lock(self, entity: str) -> tuple[Any, str, Callable[[], Awaitable[None]]]:
        """The next event, its sequence number, and what completes it."""
        message = await self.next(entity)
        return json.loads(body_of(message)), str(message.sequence_number), partial(self.complete, entity, message)

    async def message(self, entity: str) -> tuple[Any, Mapping[str, Any]]:
        """The next event with the properties of its message; completed at once."""
        message = await self.next(entity)
        await self.complete(entity, message)
        return json.loads(body_of(message)), properties(message)

    async def next(self, entity: str) -> ServiceBusReceivedMessage:
        """The next message, locked. Raises TimeoutError if none comes within WAIT."""
        async with asyncio.timeout(WAIT):
            while not (found := await self.several(entity, 1, WAIT)):
                pass
        return found[0]

    async def several(self, entity: str, count: int, wait: float) -> list[ServiceBusReceivedMessage]:
        """Up to so many messages, locked; none if none comes within `wait` seconds."""
        async with self._locks[entity]:
            found = await (await self._receiver(entity)).receive_messages(max_message_count=count, max_wait_time=wait)
        return list(found)

    async def complete(self, entity: str, message: ServiceBusReceivedMessage) -> None:
        async with self._locks[entity]:
            await (await self._receiver(entity)).complete_message(message)

    async def abandon(self, entity: str, message: ServiceBusReceivedMessage) -> None:
        async with self._locks[entity]:
            await (await self._receiver(entity)).abandon_message(message)

    async def _receiver(self, entity: str) -> ServiceBusReceiver:
        if entity not in self._receivers:
            name, _, subscription = entity.partition("/")
            opened = self.client.get_subscription_receiver(name, subscription) if subscription else self.client.get_queue_receiver(name)
            self._receivers[entity] = await self.stack.enter_async_context(opened)
        return self._receivers[entity]

    async def _sender(self, name: str) -> ServiceBusSender:
        if name not in self._senders:
            opened = self.client.get_queue_sender(name) if name in self.queues else self.client.get_topic_sender(name)
            self._senders[name] = await self.stack.enter_async_context(opened)
        return self._senders[name]


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


def properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """Those of a message in the names of Service Bus' own protocol, and its application properties."""
    own = {
        "messageId": message.message_id,
        "correlationId": message.correlation_id,
        "label": message.subject,
        "contentType": message.content_type,
        "expiresAt": message.expires_at_utc,
        "timeToLive": message.time_to_live,
        "enqueuedTime": message.enqueued_time_utc,
        "sequenceNumber": message.sequence_number,
        "deliveryCount": message.delivery_count,
    }
    others = {_text(name): _text(value) for name, value in (message.application_properties or {}).items()}
    return {**others, **{name: value for name, value in own.items() if value is not None}}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def servicebus(connection_string: str, queues: frozenset[str] = frozenset(["automation-deadletters"])) -> AsyncIterator[ServiceBus]:
    """`queues` are the names that are no topics. A client that repeats by itself would hide what these programs are to count."""
    async with (
        ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client,
        AsyncExitStack() as stack,
    ):
        yield ServiceBus(client, stack, queues)
