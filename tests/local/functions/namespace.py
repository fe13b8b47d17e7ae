"""A namespace for a functions host under test: the embedded broker with one subscription, and a record of what the host does there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.adapters.embedded.amqp import server as amqp_server
from bridge.adapters.embedded.amqp.brokererrors import BrokerError, ServerBusy
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Disposition, Incoming, Release
from bridge.adapters.embedded.amqp.ports import MessageReceiver, Push, SenderInfo
from bridge.adapters.embedded.amqp.service import AmqpService, Bounds
from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.adapters.embedded.bus import SCHEMA, EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.ports import Message
from tests.adapters.embedded_kit import entities, subscription

TOPIC, SUBSCRIPTION = "work", "sample"
MOST_DELIVERIES = 3
KEY_NAME, KEY = "RootManageSharedAccessKey", "a key for tests"
_STEPS = {Complete: "complete", Abandon: "abandon", Release: "release"}


@dataclass
class Sent:
    """A message that the host has sent."""

    topic: str
    content_type: str
    body: bytes


@dataclass
class _Watched:
    """A receiver whose settlements are recorded."""

    receiver: MessageReceiver
    namespace: Namespace

    def grant(self, credit: int) -> None:
        self.receiver.grant(credit)

    def drain(self) -> int:
        return self.receiver.drain()

    async def settle(self, token: UUID, disposition: Disposition) -> None:
        await self.receiver.settle(token, disposition)
        await self.namespace.step(_STEPS[type(disposition)])

    def close(self, *, gone: bool = False) -> None:
        self.receiver.close(gone=gone)


class _Broker(EmbeddedBroker):
    namespace: Namespace

    def open_sender(self, _: str) -> SenderInfo:
        return SenderInfo(2**20)

    async def send(self, address: str, messages: Sequence[Incoming]) -> Sequence[int]:
        await self.namespace.step("send")
        if self.namespace.refusals:
            raise self.namespace.refusals.pop(0)
        self.namespace.sent += [Sent(address, each.content_type, each.body) for each in messages]
        return [0] * len(messages)

    def open_receiver(self, address: str, *, push: Push, receive_and_delete: bool) -> MessageReceiver:
        receiver = super().open_receiver(address, push=push, receive_and_delete=receive_and_delete)
        self.namespace.steps.append("receive")
        asyncio.get_running_loop().create_task(self.namespace.step())
        return _Watched(receiver, self.namespace)

    async def renew(self, address: str, token: UUID) -> datetime:
        until = await super().renew(address, token)
        await self.namespace.step("renew")
        return until


@dataclass
class Namespace:
    """Serves on a free port while it is open; `changed` is notified at every step, so that tests wait for facts and not for time.

    `refusals` are what the next sends are refused with, one each.
    """

    data_dir: Path
    lock: str = "PT30S"
    sessions: bool = False
    keys: dict[str, str] = field(default_factory=lambda: {KEY_NAME: KEY})
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    sent: list[Sent] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    refusals: list[BrokerError] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> Namespace:
        self._stack = AsyncExitStack()
        listed = subscription(SUBSCRIPTION, LockDuration=self.lock, MaxDeliveryCount=MOST_DELIVERIES, RequiresSession=self.sessions)
        known = entities(results=[subscription()], **{TOPIC: [listed]})
        database = await self._stack.enter_async_context(Database.open(self.data_dir / "broker", SCHEMA))
        self.bus = EmbeddedBus(database, known, queue_limit=1000, max_message=2**20)
        self._stack.push_async_callback(self.bus.close)
        await self.bus.start()
        self.broker = _Broker(self.bus, known, database)
        self.broker.namespace = self
        self._stack.callback(self.broker.close)
        await self.listen()
        return self

    async def listen(self) -> None:
        """Be reachable, and say where."""
        self._listening = AsyncExitStack()
        service = AmqpService(self.broker, self.keys, Bounds())
        self.server = await self._listening.enter_async_context(amqp_server.AmqpServer.open(service, host="127.0.0.1", port=self.port))
        self.port = self.server.port
        self.write(KEY)

    def write(self, key: str) -> None:
        """Write the connection string with this key."""
        text = f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={key};UseDevelopmentEmulator=true;"
        (self.data_dir / "servicebus.json").write_text(json.dumps({"connectionString": text}))

    async def __aexit__(self, *_: object) -> None:
        await self.go_away()
        await self._stack.aclose()

    async def go_away(self) -> None:
        """Listen no more, and say goodbye to who is connected."""
        await self._listening.aclose()

    def hang_up(self) -> None:
        """Cut all connections; what was locked comes back."""
        for protocol in list(self.server._protocols):
            protocol._transport.abort()

    def detach(self, condition: str = "amqp:link:detach-forced") -> None:
        """Detach every link that receives from the subscription."""
        for protocol in self.server._protocols:
            for link in list(protocol.connection.links()):
                if link.address.lower().startswith(f"{TOPIC}/subscriptions/{SUBSCRIPTION}") and "$" not in link.address:
                    link.session.detach_link(link, condition, "The service detaches the link.")

    async def put(self, order: object, **properties: Any) -> None:
        """Add a message whose body is `order`."""
        application = properties.pop("applicationProperties", {})
        message = Message(TOPIC, json.dumps(order).encode(), "m-1", "c-1", content_type="application/json", properties=application)
        await self.bus.publish([message])

    async def step(self, name: str = "") -> None:
        if name:
            self.steps.append(name)
        async with self.changed:
            self.changed.notify_all()

    async def until(self, count: int, step: str) -> None:
        """Wait until `step` was taken `count` times."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.steps.count(step) >= count)

    @property
    def depth(self) -> int:
        """How many messages the subscription has."""
        return self.bus.queue(f"{TOPIC}/{SUBSCRIPTION}").depth

    @property
    def dead(self) -> int:
        """How many dead letters there are."""
        return self.bus.queue(f"{TOPIC}/{SUBSCRIPTION}/$DeadLetterQueue").depth

    def bodies(self) -> list[Any]:
        """The JSON of every message that was sent."""
        return [json.loads(each.body) for each in self.sent]


def busy() -> ServerBusy:
    return ServerBusy("The namespace is throttled.")
