"""A Service Bus namespace in this process that fails as the service does: it throttles, loses locks, repeats messages, detaches links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from bridge import entities
from bridge.adapters.embedded.amqp.brokererrors import MessageLockLost, ServerBusy
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Disposition, Incoming, Locked
from bridge.adapters.embedded.amqp.ports import Broker, MessageReceiver, Push
from bridge.adapters.embedded.amqp.server import AmqpServer
from bridge.adapters.embedded.amqp.service import AmqpService
from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.entities import Entities
from tests.acceptance.bridge_process import HERE
from tests.adapters.embedded.amqp.sdk_kit import KEY, KEY_NAME, connection_string
from tests.contracts.broker_kit import embedded_broker

OWN = "/bridge"  #: how the addresses of the bridge's own subscriptions end
Settle = Callable[[UUID, Disposition], Awaitable[None]]


@dataclass
class Faults:
    """`busy`: sends that are refused from now on; `doubts`: an entity whose next messages are stored and the sender is not told.

    The others are about each message that is received from addresses that end with `at`, in lower case, once.
    """

    busy: int = 0
    busy_entity: str = ""  #: in lower case, to which alone sends are refused; empty: to every one
    doubts: str = ""
    at: str = OWN
    loses_locks: bool = False  #: its lock has ended when it is completed
    repeats: bool = False  #: it is completed, and comes again all the same
    met: set[tuple[str, int]] = field(default_factory=set)


class FaultyBroker:
    """The embedded broker with faults."""

    def __init__(self, broker: EmbeddedBroker, faults: Faults) -> None:
        self._broker, self._faults = broker, faults
        self._numbers: dict[UUID, int] = {}  #: sequence numbers by lock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def send(self, address: str, messages: Sequence[Incoming]) -> Sequence[int]:
        if self._faults.busy > 0 and self._faults.busy_entity in ("", address.lower()):
            self._faults.busy -= 1
            raise ServerBusy("The request was terminated because the entity is being throttled. Error code: 50009.")
        numbers = await self._broker.send(address, messages)
        if address.lower() == self._faults.doubts:
            self._faults.doubts = ""
            raise ServerBusy("The outcome is not known.")
        return numbers

    def open_receiver(self, address: str, *, push: Push, receive_and_delete: bool) -> MessageReceiver:
        def note(locked: Locked) -> None:
            self._numbers[locked.token] = locked.stored.sequence_number
            push(locked)

        receiver = self._broker.open_receiver(address, push=note, receive_and_delete=receive_and_delete)
        return cast("MessageReceiver", _FaultyReceiver(receiver, self, address))

    async def settle(self, address: str, token: UUID, disposition: Disposition) -> None:
        await self.settle_by(partial(self._broker.settle, address), address, token, disposition)

    async def settle_by(self, way: Settle, address: str, token: UUID, disposition: Disposition) -> None:
        """Settle, unless it is the turn of a fault."""
        faults, message = self._faults, (address.lower(), self._numbers.get(token, 0))
        wanted = (faults.loses_locks or faults.repeats) and address.lower().endswith(faults.at)
        if not (isinstance(disposition, Complete) and wanted) or message in faults.met:
            await way(token, disposition)
            return
        faults.met.add(message)
        await way(token, Abandon())
        if faults.loses_locks:
            raise MessageLockLost("The lock supplied is invalid. Either the lock expired, or the message has already been removed.")


class _FaultyReceiver:
    def __init__(self, receiver: MessageReceiver, broker: FaultyBroker, address: str) -> None:
        self._receiver, self._broker, self._address = receiver, broker, address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)

    async def settle(self, token: UUID, disposition: Disposition) -> None:
        await self._broker.settle_by(self._receiver.settle, self._address, token, disposition)


@dataclass
class FaultyNamespace:
    """In place of a namespace of its own process."""

    server: AmqpServer
    faults: Faults

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)

    def detach(self, condition: str, to: tuple[str, ...] = ("",)) -> int:
        """Detach every link with this AMQP error condition whose address begins with one of `to`; returns how many."""
        detached = 0
        for protocol in list(self.server._protocols):
            for link in list(protocol.connection.links()):
                if link.address.lower().startswith(to):
                    link.session.detach_link(link, condition, "The link is detached by the broker.")
                    detached += 1
            protocol.wake()
        return detached


@asynccontextmanager
async def faulty_namespace(folder: Path, known: Entities) -> AsyncIterator[FaultyNamespace]:
    """One with these entities, which keeps its messages in the folder."""
    faults = Faults()
    async with embedded_broker(folder, known) as (broker, _):
        service = AmqpService(cast("Broker", FaultyBroker(broker, faults)), {KEY_NAME: KEY})
        async with AmqpServer.open(service, host="127.0.0.1", port=0) as server:
            yield FaultyNamespace(server, faults)


def entities_with_lock(folder: Path, lock: str) -> Entities:
    """Those of the tests, with messages of the bridge's own subscriptions locked for another time, an ISO 8601 duration."""
    folder.mkdir()
    file = folder / "entities.json"
    file.write_text((HERE / "servicebus.json").read_text().replace('"PT1M"', f'"{lock}"'))
    return entities.load(file)
