"""What the tests of brokers share: a broker with some entities, a receiver that keeps what it gets, and messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.adapters.embedded import store
from bridge.adapters.embedded.amqp.brokervalues import Disposition, Incoming, Locked
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.adapters.embedded.amqp.ports import Broker, MessageReceiver, SessionReceiver
from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.adapters.embedded.bus import SCHEMA, EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.entities import Entities

SOON = 0.25  #: seconds: a lock, a time to live or a window that a test waits for
DEAD = "/$DeadLetterQueue"


def soon(seconds: float = SOON) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def rule(name: str, sql: str, action: str | None = None) -> dict[str, Any]:
    properties: dict[str, Any] = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": sql}}
    return {"Name": name, "Properties": properties | ({"Action": {"SqlExpression": action}} if action else {})}


def subscription(name: str, *rules: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties, "Rules": list(rules)}


def queue(name: str, **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties}


KNOWN: dict[str, Any] = {
    "Queues": [
        queue("jobs", MaxDeliveryCount=3),
        queue("brief", LockDuration=f"PT{SOON}S", MaxDeliveryCount=2),
        queue("fading", DefaultMessageTimeToLive=f"PT{SOON}S", DeadLetteringOnMessageExpiration=True),
        queue("sessions", RequiresSession=True, MaxDeliveryCount=3),
        queue("brief-sessions", RequiresSession=True, LockDuration=f"PT{SOON}S"),
        queue("once", RequiresDuplicateDetection=True, DuplicateDetectionHistoryTimeWindow=f"PT{2 * SOON}S"),
        queue("first", ForwardTo="jobs"),
        queue("fragile", MaxDeliveryCount=1, ForwardDeadLetteredMessagesTo="jobs"),
        queue("ageless", DefaultMessageTimeToLive="P10675199DT2H48M5.477S"),
    ],
    "Topics": [
        {
            "Name": "orders",
            "Subscriptions": [
                subscription("all"),
                subscription("red", rule("red", "color = 'red' AND size > 3")),
                subscription("marked", rule("half", "size > 3", "SET size = size / 2; SET sys.Label = 'half'; REMOVE color")),
            ],
        },
        {"Name": "plain", "Subscriptions": [subscription("one"), subscription("two"), subscription("grouped", RequiresSession=True)]},
        {
            "Name": "deduplicated",
            "Properties": {"RequiresDuplicateDetection": True},
            "Subscriptions": [subscription("one"), subscription("two")],
        },
        {"Name": "alone", "Subscriptions": []},
    ],
}


def known(**more: Any) -> Entities:
    return Entities.model_validate({**KNOWN, **more})


@asynccontextmanager
async def embedded_broker(
    data_dir: Path,
    entities: Entities | None = None,
    *,
    queue_limit: int = 10_000,
    data_limit: int = 2**33,
    max_message: int = 2**20,
    window: int = 1_000,
) -> AsyncIterator[tuple[EmbeddedBroker, EmbeddedBus]]:
    entities = entities or known()
    async with Database.open(data_dir, (*SCHEMA, *store.SCHEMA)) as database:
        bus = EmbeddedBus(database, entities, queue_limit=queue_limit, max_message=max_message, window=window)
        broker = EmbeddedBroker(bus, entities, database, data_limit=data_limit)
        await bus.start()
        try:
            yield broker, bus
        finally:
            broker.close()
            await bus.close()


def message(body: str = "x", *, ttl: float | None = None, scheduled: Any = None, priority: int | None = None, **fields: Any) -> Incoming:
    fields.setdefault("message_id", f"id-{body}")
    sent = incoming(bare_message(body.encode(), **fields))
    return replace(sent, time_to_live=None if ttl is None else timedelta(seconds=ttl), scheduled=scheduled, priority=priority)


def body_of(locked: Any) -> str:
    stored = locked.stored if isinstance(locked, Locked) else locked
    return incoming(stored.encoded).body.decode()


def properties_of(locked: Any) -> dict[str, Any]:
    stored = locked.stored if isinstance(locked, Locked) else locked
    return {**incoming(stored.encoded).properties, **stored.properties_to_add}


class Client:
    """A receiver with the messages that it was given."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Locked] = asyncio.Queue()
        self.receiver: Any = None

    @classmethod
    def of(cls, broker: Broker, address: str, *, credit: int = 100, delete: bool = False) -> Client:
        client = cls()
        client.receiver: MessageReceiver = broker.open_receiver(address, push=client.came.put_nowait, receive_and_delete=delete)
        client.receiver.grant(credit)
        return client

    @classmethod
    async def of_session(
        cls, broker: Broker, address: str, session: str | None = None, *, credit: int = 100, seconds: float = 5, delete: bool = False
    ) -> Client:
        client = cls()
        accepted: SessionReceiver = await broker.accept_session(
            address, session, push=client.came.put_nowait, receive_and_delete=delete, patience=seconds
        )
        client.receiver = accepted
        accepted.grant(credit)
        return client

    async def next(self, seconds: float = 5) -> Locked:
        return await asyncio.wait_for(self.came.get(), seconds)

    async def bodies(self, count: int) -> list[str]:
        return [body_of(await self.next()) for _ in range(count)]

    async def stays_empty(self, seconds: float = 0.15) -> bool:
        await asyncio.sleep(seconds)
        return self.came.empty()

    async def settle(self, locked: Locked, disposition: Disposition) -> None:
        await asyncio.wait_for(self.receiver.settle(locked.token, disposition), 20)
