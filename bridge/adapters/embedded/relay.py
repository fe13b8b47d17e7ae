"""Connects a local functions host to another bus, such as Dapr's, which offers no locks.

Messages of that bus are stored in an embedded bus, which gives them locks, filters, redelivery and dead letters, and are acknowledged
once they are stored. Messages that the host sends go to the other bus.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from bridge import cloudevents
from bridge.adapters.embedded import servicebus
from bridge.adapters.embedded.amqp.brokervalues import Incoming
from bridge.adapters.embedded.amqp.ports import SenderInfo
from bridge.adapters.embedded.broker import EmbeddedBroker, port_errors
from bridge.adapters.embedded.brokermessages import published
from bridge.adapters.embedded.bus import SCHEMA, EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.servicebus import Listener
from bridge.entities import Entities
from bridge.errors import PortError, Refusal, Undeliverable
from bridge.ports import Ack, Bus, Delivery, Handler, Keep, Message


class RelayBroker(EmbeddedBroker):
    """The broker of a relay: it gives out what the relay has stored, and publishes on the other bus what is sent to it."""

    def __init__(self, embedded: EmbeddedBus, entities: Entities, database: Database, bus: Bus) -> None:
        super().__init__(embedded, entities, database)
        self._other, self._largest = bus, embedded.largest_message

    def open_sender(self, address: str) -> SenderInfo:  # noqa: ARG002 - which topics there are, the other bus knows
        """Any address: the other bus says whether it takes messages for it."""
        return SenderInfo(self._largest)

    async def send(self, address: str, messages: Sequence[Incoming]) -> Sequence[int]:
        """Publish on the other bus, which numbers nothing. Raises MessageTooLarge, ServerBusy."""
        with port_errors():
            await self._other.publish([published(address, sent) for sent in messages])
        return [0] * len(messages)


class Relay:
    """Stores the deliveries of another bus for a functions host, which receives them over AMQP from `broker`."""

    def __init__(self, embedded: EmbeddedBus, broker: RelayBroker) -> None:
        self._embedded, self.broker = embedded, broker
        self._keep: Keep | None = None

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - each is one setting
        cls, data_dir: Path, entities: Entities, bus: Bus, where: Listener, *, queue_limit: int, max_message: int
    ) -> AsyncIterator[Self]:
        """Open `data_dir`/relay/bridge.db and listen for the host. Raises ConfigurationError as the embedded runtime does."""
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(Database.open(data_dir / "relay", SCHEMA))
            embedded = EmbeddedBus(database, entities, queue_limit=queue_limit, max_message=max_message)
            stack.push_async_callback(embedded.close)
            await embedded.start()
            broker = RelayBroker(embedded, entities, database, bus)
            stack.callback(broker.close)
            await stack.enter_async_context(servicebus.serving(broker, data_dir, where, max_message=embedded.largest_message))
            yield cls(embedded, broker)

    def dead_letter_to(self, keep: Keep) -> None:
        """Hand what can never be stored to `keep`. Until this is called, and while it fails, such a message is retried."""
        self._keep = keep

    async def take(self, delivery: Delivery) -> Ack:
        """The handler for the topics that functions listen to. A message that cannot be stored now is retried."""
        try:
            await self._embedded.publish([_labelled(delivery.message)])
        except Undeliverable as fault:
            return await self._give_up(delivery.message, str(fault))
        except PortError:
            return Ack.RETRY
        return Ack.DONE

    async def _give_up(self, message: Message, reason: str) -> Ack:
        if self._keep is None:
            return Ack.RETRY
        try:
            await self._keep(message, reason)
        except PortError:
            return Ack.RETRY
        return Ack.DONE

    async def dead_letters(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Deliver the dead letters of functions to `handler`; `source` is the queue that they are forwarded to."""
        await self._embedded.subscribe(source, handler, concurrency=concurrency)


def _labelled(message: Message) -> Message:
    """The message with the label that filters look at: the event's subject, because not every bus carries labels."""
    if message.label:
        return message
    try:
        return replace(message, label=cloudevents.decode(message.body).get("subject"))
    except Refusal:
        return message
