"""Dead-letter sub-queues in memory, as Service Bus has them: locked from the head, and what is given back is the head again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from bridge.errors import PortError, Undeliverable
from bridge.ports import Message, ParkedMessage
from bridge.testing import NOON, FakeClock

LOCK = timedelta(seconds=60)


class MemorySubQueues:
    """Implements `ports.DeadLetterQueues` and the head of each. `fault` is raised by every peek, `refused` by the sending of a body."""

    def __init__(self, clock: FakeClock, *entities: str) -> None:
        self.clock, self.entities = clock, entities
        self.messages: dict[str, list[ParkedMessage]] = {entity: [] for entity in entities}
        self.locked: set[tuple[str, int]] = set()
        self.sent: list[Message] = []
        self.most_locked = self.receipts = 0
        self.fault: PortError | None = None
        self.faults: dict[str, PortError] = {}
        self.refused: dict[bytes, PortError] = {}
        self.lost_locks = False
        self.lock_gate: asyncio.Event | None = None  #: what every lock but the first waits for
        self._numbers = 0

    def park(
        self, entity: str, body: bytes = b"{}", *, reason: str = "Refused", description: str = "by its receiver", **more: object
    ) -> ParkedMessage:
        self._numbers += 1
        number = self._numbers
        message = Message(entity.partition("/")[0], body, **{"message_id": f"m-{number}", **more})  # type: ignore[arg-type]
        parked = ParkedMessage(entity, number, message, reason, description, 3, NOON)
        self.messages[entity].append(parked)
        return parked

    async def peek(self, entity: str, number: int, most: int) -> Sequence[ParkedMessage]:
        if self.fault or entity in self.faults:
            raise self.fault or self.faults[entity]
        return [each for each in self.messages[entity] if each.number >= number][:most]

    @asynccontextmanager
    async def head(self, entity: str) -> AsyncIterator[MemoryHead]:
        yield MemoryHead(self, entity)

    async def send(self, copies: Sequence[tuple[ParkedMessage, Message]]) -> None:
        for _, message in copies:
            if message.body in self.refused:
                raise self.refused[message.body]
        self.sent += [message for _, message in copies]

    def reaches(self, message: Message) -> Sequence[str]:
        return [entity for entity in self.entities if entity.startswith(f"{message.topic}/")]


class MemoryHead:
    def __init__(self, queues: MemorySubQueues, entity: str) -> None:
        self._queues, self._entity = queues, entity

    async def lock(self, most: int) -> Sequence[ParkedMessage]:
        queues = self._queues
        queues.receipts += 1
        if queues.lock_gate is not None and queues.receipts > 1:
            await queues.lock_gate.wait()
        found = [each for each in queues.messages[self._entity] if (self._entity, each.number) not in queues.locked][:most]
        queues.locked |= {(self._entity, each.number) for each in found}
        queues.most_locked = max(queues.most_locked, len(queues.locked))
        return [replace(each, locked_until=queues.clock.now() + LOCK) for each in found]

    async def complete(self, messages: Sequence[ParkedMessage]) -> Sequence[ParkedMessage]:
        if self._queues.lost_locks:
            await self.abandon(messages)
            return messages
        gone = {each.number for each in messages}
        self._queues.messages[self._entity] = [each for each in self._queues.messages[self._entity] if each.number not in gone]
        await self.abandon(messages)
        return ()

    async def abandon(self, messages: Sequence[ParkedMessage]) -> None:
        self._queues.locked -= {(self._entity, each.number) for each in messages}


NO_SUCH_ENTITY = Undeliverable("The namespace has no such entity.")
