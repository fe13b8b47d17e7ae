"""Bridges on Dapr with Service Bus while anything is killed: two of them with their sidecars, a namespace, and the Redis for the state.

One of them has a functions host, which receives and sends over the cable that is cut now and then.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from azure.servicebus.exceptions import MessageSizeExceededError, MessagingEntityNotFoundError

from tests.acceptance.scripted import Scripted
from tests.chaos.door import LONGEST, Line, Message, Refused
from tests.chaos.hosted import FunctionsHost
from tests.chaos.on_dapr import REPLICAS, OnDapr
from tests.chaos.place import SETTINGS
from tests.dapr import servicebus
from tests.dapr.namespace import NamespaceMachine
from tests.dapr.process import bridge_on

ENDS = {
    "bridge SIGKILL": 4,
    "bridge SIGTERM": 1,
    "sidecar SIGKILL": 4,
    "bridge and sidecar SIGKILL": 2,
    "namespace SIGKILL": 4,
    "connection cut": 3,
    "functions host SIGKILL": 3,
    "functions host SIGTERM": 1,
    "worker of the functions host SIGKILL": 2,
    "Redis SIGKILL": 1,
}
_AWAY = (*servicebus.AWAY, ValueError)  #: ValueError: a client that has been closed
QUIET = 0.2  #: seconds without a message after which a program settles what it has, and looks again


@dataclass(frozen=True)
class AzureDoor:
    """The door of a program that has azure-servicebus and no sidecar."""

    bus: servicebus.ServiceBus

    async def send(self, topic: str, body: bytes, **properties: str) -> None:
        named = {"messageId": "message_id", "label": "subject"}
        with _told():
            async with asyncio.timeout(LONGEST):
                await self.bus.send(topic, body, **{named[name]: value for name, value in properties.items()})

    async def send_event(self, topic: str, event: Line) -> None:
        with _told():
            async with asyncio.timeout(LONGEST):
                await self.bus.send_event(topic, event)

    async def receive(self, entity: str, credit: int) -> AsyncIterator[Message]:
        try:
            while True:
                for message in await self.bus.several(entity, credit, QUIET):
                    # By its bytes: a client that lost its connection while it sent sends again, and the namespace may store both. An
                    # event that was sent for another attempt has another time in it.
                    body = servicebus.body_of(message)
                    yield Message(body, hashlib.sha256(body).hexdigest(), (entity, message))
                await asyncio.sleep(0)
        except _AWAY:
            return

    async def complete(self, message: Message) -> None:
        with _told():
            async with asyncio.timeout(LONGEST):
                await self.bus.complete(*message.lock)

    async def abandon(self, message: Message) -> None:
        with _told():
            async with asyncio.timeout(LONGEST):
                await self.bus.abandon(*message.lock)


@contextmanager
def _told() -> Iterator[None]:
    """In the words of the other door."""
    try:
        yield
    except (MessageSizeExceededError, MessagingEntityNotFoundError) as fault:
        raise Refused(str(fault)) from None
    except _AWAY as fault:
        raise ConnectionError(f"the bus is away: {fault!r}") from None


@dataclass
class OnServiceBus(OnDapr):
    """Implements `Place`. The machines share the namespace of the first, whose bridge has the functions host."""

    @property
    def first(self) -> NamespaceMachine:
        machine = self.machines[0]
        assert isinstance(machine, NamespaceMachine)
        return machine

    @asynccontextmanager
    async def door(self, number: int = 0) -> AsyncIterator[AzureDoor]:  # type: ignore[override]  # another kind of door
        # Every other program is connected by the cable that is cut now and then.
        first = self.first
        with _told():
            string = first.over_the_cable if number % 2 else first.namespace.connection_string
            async with servicebus.servicebus(string) as bus:
                yield AzureDoor(bus)

    async def end(self, how: str, chance: random.Random) -> None:
        if "namespace" in how:
            await self.first.broker_again()
        elif "connection" in how:
            self.first.cable.cut()
        else:
            await super().end(how, chance)


@asynccontextmanager
async def on_servicebus(folder: Path, app: Scripted) -> AsyncIterator[OnServiceBus]:
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # it tells of every connection that is lost, and all are
    async with AsyncExitStack() as stack:
        first = NamespaceMachine.planned(folder / "machine-0", stack)
        await first.broker()
        machines = [first, *(first.beside(folder / f"machine-{number}") for number in range(1, REPLICAS))]
        redis = (await first.redis()).program
        sidecars = [(await machine.sidecar()).program for machine in machines]
        bridges = [bridge_on(machine, machine.directory, app, *SETTINGS) for machine in machines]
        string = folder / "connection-string"
        string.write_text(first.over_the_cable)
        host = FunctionsHost.beside(bridges[0], string)
        for bridge in bridges:
            await stack.enter_async_context(bridge)
        await host.ready()
        yield OnServiceBus(machines, bridges, sidecars, redis, ENDS, host.subscriptions)
