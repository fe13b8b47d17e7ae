"""The embedded broker with the entities of recorded vectors, and a record of what a functions host does there, message by message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.adapters.embedded.amqp import server as amqp_server
from bridge.adapters.embedded.amqp.brokererrors import BrokerError
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Disposition, Incoming, Locked
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.ports import MessageReceiver, Push, SessionReceiver
from bridge.adapters.embedded.amqp.service import AmqpService, Bounds
from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.adapters.embedded.bus import SCHEMA, EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.entities import Entities

from .namespace import KEY, KEY_NAME, MOST_DELIVERIES
from .trigger_vector_messages import Json, encoded, shown

DEAD_LETTERS = "/$deadletterqueue"
_OUTCOMES: dict[type[Any], str] = {Complete: "accepted", Abandon: "modified"}


@dataclass
class _Watched:
    """A receiver whose deliveries and settlements are recorded."""

    broker: RecordingBroker
    address: str
    receiver: Any = None
    numbers: dict[UUID, tuple[int, int]] = field(default_factory=dict)

    def pushing(self, push: Push) -> Push:
        def pushed(locked: Locked) -> None:
            self.numbers[locked.token] = (locked.stored.sequence_number, locked.stored.delivery_count)
            self.broker.delivered(self.address, locked)
            push(locked)

        return pushed

    async def settle(self, token: UUID, disposition: Disposition) -> None:
        with self.broker.settling(self.address, *self.numbers[token], _OUTCOMES.get(type(disposition), type(disposition).__name__.lower())):
            await self.receiver.settle(token, disposition)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.receiver, name)


class RecordingBroker(EmbeddedBroker):
    """What happens to each message of an entity, and what was sent to entities that are only for outputs."""

    def prepare(self, outputs: Sequence[str]) -> None:
        self._outputs = {name.lower() for name in outputs}
        self.sent: dict[str, list[Json]] = defaultdict(list)
        self.events: dict[str, list[Json]] = defaultdict(list)
        self._open_deliveries: dict[tuple[str, int], int] = {}

    async def send(self, address: str, messages: Sequence[Incoming]) -> Sequence[int]:
        if address.lower() not in self._outputs:
            return await super().send(address, messages)
        self.sent[address.lower()] += [shown(each) for each in messages]
        return [0] * len(messages)

    def open_receiver(self, address: str, *, push: Push, receive_and_delete: bool) -> MessageReceiver:
        watched = _Watched(self, address)
        watched.receiver = super().open_receiver(address, push=watched.pushing(push), receive_and_delete=receive_and_delete)
        return watched

    async def accept_session(
        self, address: str, session_id: str | None, *, push: Push, receive_and_delete: bool, patience: float
    ) -> SessionReceiver:
        watched = _Watched(self, address)
        watched.receiver = await super().accept_session(
            address, session_id, push=watched.pushing(push), receive_and_delete=receive_and_delete, patience=patience
        )
        return watched

    def delivered(self, address: str, locked: Locked) -> None:
        name, stored = address.lower(), locked.stored
        self._expire(name, stored.sequence_number)
        if name.endswith(DEAD_LETTERS):
            reason = str(stored.properties_to_add.get("DeadLetterReason"))
            self.events[name].append({"event": "deadletter", "reason": reason, "entity": address[: -len(DEAD_LETTERS)]})
        self._open_deliveries[name, stored.sequence_number] = stored.delivery_count
        self.events[name].append({"event": "deliver", "deliveryCountOnWire": stored.delivery_count, "entity": address})

    @contextmanager
    def settling(self, address: str, number: int, count: int, outcome: str) -> Iterator[None]:
        """Record a settlement, which may lead to the next delivery at once; one that is refused is none."""
        event = {"event": "settle", "outcome": outcome, "deliveryCountOnWire": count, "entity": address}
        was_open = self._open_deliveries.pop((address.lower(), number), None)
        self.events[address.lower()].append(event)
        try:
            yield
        except BrokerError:
            self.events[address.lower()].remove(event)
            if was_open is not None:
                self._open_deliveries[address.lower(), number] = was_open
            raise

    def _expire(self, name: str, number: int) -> None:
        if (count := self._open_deliveries.pop((name, number), None)) is not None:
            self.events[name].append({"event": "lockexpired", "deliveryCountOnWire": count, "entity": name})

    async def dead_letters(self, address: str) -> list[str]:
        """The reasons of the dead letters of an entity."""
        found = await super().peek(f"{address}/$DeadLetterQueue", 1, 100, None)
        return [str(each.properties_to_add.get("DeadLetterReason")) for each in found]

    async def events_of(self, address: str) -> list[Json]:
        """What happened to the messages of an entity: deliveries, settlements, locks that ended, and dead letters at the end."""
        name, reasons = address.lower(), await self.dead_letters(address)
        events = list(self.events[name])
        if reasons:
            still = [count for (entity, _), count in self._open_deliveries.items() if entity == name]
            events += [{"event": "lockexpired", "deliveryCountOnWire": count, "entity": name} for count in still]
            events += [{"event": "deadletter", "reason": each, "entity": name} for each in reasons]
        return events


@dataclass
class VectorNamespace:
    """The broker while it is open. `entities` are in the shape of the emulator's configuration, `outputs` names those of its topics and
    queues whose messages are only recorded."""

    data_dir: Path
    entities: Entities
    outputs: Sequence[str]

    async def __aenter__(self) -> VectorNamespace:
        self._stack = AsyncExitStack()
        database = await self._stack.enter_async_context(Database.open(self.data_dir / "broker", SCHEMA))
        bus = EmbeddedBus(database, self.entities, queue_limit=1000, max_message=2**20)
        self._stack.push_async_callback(bus.close)
        await bus.start()
        self.broker = RecordingBroker(bus, self.entities, database)
        self.broker.prepare(self.outputs)
        self._stack.callback(self.broker.close)
        service = AmqpService(self.broker, {KEY_NAME: KEY}, Bounds())
        server = await self._stack.enter_async_context(amqp_server.AmqpServer.open(service, host="127.0.0.1", port=0))
        endpoint = f"Endpoint=sb://127.0.0.1:{server.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}"
        self.connection_string = f"{endpoint};UseDevelopmentEmulator=true"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def send(self, address: str, messages: Sequence[Json]) -> None:
        """Store recorded messages, all at once."""
        await self.broker.send(address, [incoming(encoded(each)) for each in messages])


def queue(name: str, *, lock: str, sessions: bool = False) -> Json:
    """A queue in the shape of the emulator's configuration."""
    return {"Name": name, "Properties": properties(lock, sessions=sessions)}


def properties(lock: str, *, sessions: bool = False) -> Json:
    return {"LockDuration": lock, "MaxDeliveryCount": MOST_DELIVERIES, "RequiresSession": sessions}
