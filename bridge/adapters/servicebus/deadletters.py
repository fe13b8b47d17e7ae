"""The dead-letter sub-queues of a Service Bus namespace. Which entities there are stands in the entities file, so that no right to manage
the namespace is needed: to listen and to send is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import ServiceBusError

from bridge.adapters.embedded.drafts import Draft
from bridge.adapters.embedded.reach import Reach
from bridge.adapters.servicebus import copies as form
from bridge.adapters.servicebus.client import opened, port_errors
from bridge.entities import Entities
from bridge.errors import PortError, Unavailable
from bridge.ports import Message, ParkedMessage
from bridge.settings import ServiceBusNamespace

TOGETHER = 200  #: messages that are given back in one request
CLOSE = 3.0  #: seconds that closing may take
FIRST = 1.0  #: seconds that the next messages of a sub-queue may take
BATCH_BYTES = 128 * 1024  #: bodies in one batch; a namespace of the Standard tier takes 256 kB with everything around them


class AzureDeadLetters:
    """Implements `ports.DeadLetterQueues` with azure-servicebus. Links are opened when they are needed, and after an error anew."""

    def __init__(self, client: ServiceBusClient, entities: Entities) -> None:
        self._client, self._reach = client, Reach.of_file(entities)
        self._queues = {queue.name for queue in entities.queues}
        self.entities = tuple(name for name, _ in entities.sources)
        self._peeking: dict[str, ServiceBusReceiver] = {}
        self._senders: dict[str, ServiceBusSender] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, where: ServiceBusNamespace, entities: Entities) -> AsyncIterator[AzureDeadLetters]:
        """Sub-queues that can be used while the context is open. Raises ConfigurationError."""
        async with opened(where) as client:
            found = cls(client, entities)
            try:
                yield found
            finally:
                await found._close()

    async def peek(self, entity: str, number: int, most: int) -> Sequence[ParkedMessage]:
        """Messages from a number on. Raises Undeliverable, Unavailable."""
        # The client's links are for one call at a time.
        async with self._turn(f"peek {entity}"):
            try:
                with port_errors(_shown(entity)):
                    if entity not in self._peeking:
                        self._peeking[entity] = self._receiver(entity)
                    found = await self._peeking[entity].peek_messages(most, sequence_number=max(number, 1))
                    return [replace(form.parked(entity, each), reaches=self._reached(entity, each)) for each in found]
            except BaseException:
                await self._drop(self._peeking, entity)
                raise

    def _reached(self, entity: str, received: ServiceBusReceivedMessage) -> tuple[str, ...]:
        topic = entity.partition("/")[0]
        message = form.parked(entity, received).message
        return self._reach.of(topic, Draft(message, added=form.simple_properties(received)))

    @asynccontextmanager
    async def head(self, entity: str) -> AsyncIterator[AzureHead]:
        """Open the head with a link of its own. Raises Undeliverable, Unavailable."""
        async with AsyncExitStack() as stack:
            with port_errors(_shown(entity)):
                receiver = await stack.enter_async_context(self._receiver(entity))
            yield AzureHead(entity, receiver)

    async def send(self, copies: Sequence[tuple[ParkedMessage, Message]]) -> None:
        """Send the copies, as many in one batch as Service Bus takes. Raises Undeliverable, Unavailable."""
        by_topic: dict[str, list[tuple[ParkedMessage, Message]]] = {}
        for parked, message in copies:
            by_topic.setdefault(message.topic, []).append((parked, message))
        for topic, its in by_topic.items():
            async with self._turn(f"send {topic}"):
                try:
                    for batch in _batches(its):
                        with port_errors(topic):
                            await self._sender(topic).send_messages(batch if len(batch) > 1 else batch[0])
                except BaseException:
                    await self._drop(self._senders, topic)
                    raise

    def reaches(self, message: Message) -> Sequence[str]:
        """The subscriptions that store the message, by the rules of the entities file."""
        return self._reach.of(message.topic, Draft(message))

    def _receiver(self, entity: str) -> ServiceBusReceiver:
        topic, _, subscription = entity.partition("/")
        if subscription:
            return self._client.get_subscription_receiver(topic, subscription, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        return self._client.get_queue_receiver(topic, sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    def _sender(self, topic: str) -> ServiceBusSender:
        if topic not in self._senders:
            found = self._client.get_queue_sender(topic) if topic in self._queues else self._client.get_topic_sender(topic)
            self._senders[topic] = found
        return self._senders[topic]

    async def _drop(self, links: dict[str, ServiceBusReceiver] | dict[str, ServiceBusSender], name: str) -> None:
        link = links.pop(name, None)
        if link is not None:
            with port_errors(name):
                await link.close()

    async def _close(self) -> None:
        """Close all links together: each has a connection of its own, whose end takes a moment."""
        links = [*self._peeking.values(), *self._senders.values()]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(link.close() for link in links), return_exceptions=True), CLOSE)

    def _turn(self, name: str) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())


class AzureHead:
    """Implements `ports.SubQueueHead`."""

    def __init__(self, entity: str, receiver: ServiceBusReceiver) -> None:
        self._entity, self._receiver = entity, receiver

    async def lock(self, most: int) -> Sequence[ParkedMessage]:
        """Lock the next messages. Raises Unavailable."""
        with port_errors(_shown(self._entity)):
            found = await self._receiver.receive_messages(most, max_wait_time=FIRST)
            return [form.parked(self._entity, each) for each in found]

    async def complete(self, messages: Sequence[ParkedMessage]) -> Sequence[ParkedMessage]:
        """Remove locked messages; returns those whose locks have ended. Raises Unavailable."""
        if await self._settle_together("completed", messages):
            return ()
        left = []
        for each in messages:
            try:
                with port_errors(_shown(self._entity)):
                    await self._receiver.complete_message(_received(each))
            except Unavailable:
                left.append(each)
        return left

    async def abandon(self, messages: Sequence[ParkedMessage]) -> None:
        """Give locked messages back, until one cannot be: then the connection is gone, and their locks end."""
        for start in range(0, len(messages), TOGETHER):
            some = messages[start : start + TOGETHER]
            if await self._settle_together("abandoned", some):
                continue
            try:
                for each in some:
                    with port_errors(_shown(self._entity)):
                        await self._receiver.abandon_message(_received(each))
            except PortError:
                return

    async def _settle_together(self, status: str, messages: Sequence[ParkedMessage]) -> bool:
        """Whether one request to the management node of the sub-queue has settled all of them.

        The client settles one message at a time and waits for each answer, which takes 10,000 round trips for 10,000 messages. It has
        this request, under a name that is not public, for when the link is gone. Where it fails, they are settled one by one.
        """
        settle = getattr(self._receiver, "_settle_message_via_mgmt_link", None)
        if len(messages) < 2 or settle is None:
            return False
        tokens = [_received(each).lock_token for each in messages]
        try:
            await settle(status, tokens)
        except (TypeError, ServiceBusError, AzureError, OSError, ValueError):
            return False
        return True


def _batches(copies: Sequence[tuple[ParkedMessage, Message]]) -> list[list[AmqpAnnotatedMessage]]:
    """The messages to send, in lists that may each be one batch."""
    batches: list[list[AmqpAnnotatedMessage]] = []
    room = 0
    for parked, message in copies:
        size = len(message.body) + sum(len(name) + len(text) for name, text in parked.message.properties.items()) + 512
        shared = form.shares_a_batch(parked)
        if not batches or not shared or size > room:
            batches.append([])
            room = BATCH_BYTES if shared else 0
        batches[-1].append(form.copy(parked, message))
        room -= size
    return batches


def _received(parked: ParkedMessage) -> ServiceBusReceivedMessage:
    assert isinstance(parked.native, ServiceBusReceivedMessage)  # noqa: S101 - it came from here
    return parked.native


def _shown(entity: str) -> str:
    return f"{entity}/$DeadLetterQueue"
