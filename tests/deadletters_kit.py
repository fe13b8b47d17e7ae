"""What the tests of dead letters share: a list of them on a bus and a store in memory, and a delivery that led nowhere."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bridge.deadletters import DeadLetterFilter, DeadLetters, DeadLetterSettings, ReplayResult
from bridge.deadletters.deadletter import DeadLetter
from bridge.deadletters.replay import ReplayRequest
from bridge.index import Index
from bridge.ports import Delivery, Message
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import event

KEEP = timedelta(days=7)
LEASE = timedelta(seconds=30)
BODY = event({"password": "hunter2", "user": "root"}, invocationtoken="t0ken", authsignature="s1gned").encode()


def delivery(body: bytes = BODY, *, source: str = "automation-requests/bridge", message_id: str = "m-1", **properties: str) -> Delivery:
    message = Message("automation-requests", body, message_id, "order-1", "report", properties=properties)
    return Delivery(source, message, attempt=2, enqueued_at=NOON)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store, self.bus = MemoryStore(self.clock), MemoryBus(self.clock)
        self.letters = self.replica("a")

    def replica(self, name: str) -> DeadLetters:
        index = Index(self.store, self.clock, name="deadletters", replica=name, keep=KEEP)
        return DeadLetters(self.store, self.bus, index, self.clock, DeadLetterSettings(KEEP, LEASE))

    async def kept(self, given: Delivery | None = None, **options: Any) -> DeadLetter:
        """Keep it and give what the newest entry of the list is then."""
        await self.letters.keep(given or delivery(), "Malformed", "no event", **options)
        return (await self.letters.page(1, ""))[0][0]

    async def listed(self, **wanted: Any) -> list[DeadLetter]:
        return (await self.letters.page(100, "", DeadLetterFilter(**wanted)))[0]

    async def replay(self, letter: DeadLetter, replica: str = "", **wish: Any) -> ReplayResult:
        return await (self.replica(replica) if replica else self.letters).replay(letter.id, ReplayRequest("root", **wish))

    async def interrupted(self, letter: DeadLetter, *, published: bool = True, **wish: Any) -> None:
        """A replay whose process ends between its claim and its confirmation, before or after the message was published."""
        publish = self.bus.publish

        async def and_end(messages: Any) -> None:
            if published:
                await publish(messages)
            raise asyncio.CancelledError

        self.bus.publish = and_end  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await self.replay(letter, **wish)
        self.bus.publish = publish  # type: ignore[method-assign]

    def sent(self) -> list[str]:
        """The message ids of all that was published."""
        return [message.message_id for message in self.bus.published]
