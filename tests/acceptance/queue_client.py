"""A program on the embedded bus over AMQP. Microsoft's client is tried elsewhere: it leaves sockets open when a bridge is killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bridge.amqp import clientframes
from bridge.amqp.clientlinks import LinkDelivery, ReceiverLink
from bridge.local.functions.servicebus import messages
from tests.chaos.door import Door, Refused, door, read, refusals

PATIENCE = 10.0  #: seconds that a message may take to come


@dataclass
class Queue:
    """Sends over one connection, and receives from each entity over one of its own, a message at a time."""

    data_dir: Path
    stack: AsyncExitStack
    sender: Door
    receivers: dict[str, tuple[Door, ReceiverLink]] = field(default_factory=dict)

    async def send(self, topic: str, body: bytes, **properties: str) -> None:
        """Return once it is stored. Raises ConnectionError if that is not known, or it was refused."""
        try:
            await self.sender.send(topic, body, **properties)
        except Refused as fault:
            raise ConnectionError(str(fault)) from None

    async def send_event(self, topic: str, event: dict[str, Any]) -> None:
        await self.send(topic, json.dumps(event).encode(), label=event.get("subject", ""))

    async def locked(self, entity: str) -> LinkDelivery:
        """The next message, which is locked."""
        if entity not in self.receivers:
            opened = await self.stack.enter_async_context(door(self.data_dir))
            self.receivers[entity] = opened, await opened.attach(entity)
        opened, link = self.receivers[entity]
        link.grant(1)
        delivery = await asyncio.wait_for(opened.messages.get(), PATIENCE)
        if delivery is None:
            raise ConnectionError(f"the link to {entity} is gone")
        return delivery

    async def peek_lock(self, entity: str) -> tuple[Any, str, Callable[[], Awaitable[None]]]:
        """One message: the event in it, its number, and what completes it."""
        delivery = await self.locked(entity)
        message = read(delivery)
        return json.loads(message.body), message.number.partition("/")[0], partial(self._settle, delivery, clientframes.ACCEPT)

    async def _settle(self, delivery: LinkDelivery, state: bytes) -> None:
        try:
            with refusals(delivery.link.client):
                await delivery.link.settle(delivery.delivery_id, state)
        except Refused as fault:
            raise ConnectionError(str(fault)) from None

    async def receive(self, entity: str) -> tuple[Any, str]:
        """One message: the event in it and its sequence number; completed at once."""
        event, number, complete = await self.peek_lock(entity)
        await complete()
        return event, number

    async def message(self, entity: str) -> tuple[Any, Any]:
        """The same with the properties of the message that are set."""
        delivery = await self.locked(entity)
        await self._settle(delivery, clientframes.ACCEPT)
        received = messages.read(delivery.tag, delivery.payload)
        return json.loads(received.body), {name: value for name, value in received.properties.items() if value is not None}

    async def abandon(self, entity: str) -> None:
        """Take one message without success."""
        await self._settle(await self.locked(entity), clientframes.FAIL)


def connection_string(data_dir: Path) -> str:
    """How a program reaches the queue of a bridge."""
    found: str = json.loads((data_dir / "servicebus.json").read_text())["connectionString"]
    return found


@asynccontextmanager
async def queue(data_dir: Path) -> AsyncIterator[Queue]:
    async with AsyncExitStack() as stack:
        yield Queue(data_dir, stack, await stack.enter_async_context(door(data_dir)))
