"""A broker in memory with the semantics of Service Bus, for tests of the protocol alone. It knows correlation filters and no SQL."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.adapters.embedded.amqp import brokererrors, brokervalues, filterrules, ports
from bridge.adapters.embedded.amqp.brokervalues import BrokerMessage, Incoming, Locked
from bridge.adapters.embedded.amqp.filterrules import FilterRule
from bridge.adapters.embedded.amqp.ports import SenderInfo
from tests.adapters.embedded.amqp.memory_queue import (
    DEAD_LETTERS,
    TICK,
    Held,
    MemoryQueue,
    MemoryReceiver,
    MemorySessionReceiver,
    now,
)


class MemoryBroker:
    """Implements `ports.Broker`. `entities` is a file in the shape of the emulator's configuration."""

    def __init__(self, entities: Path) -> None:
        self.numbers = itertools.count(1)
        self.queues: dict[str, MemoryQueue] = {}
        self.topics: dict[str, list[str]] = {}
        self.filters: dict[str, dict[str, FilterRule]] = {}
        self.scheduled: dict[int, list[tuple[MemoryQueue, int]]] = {}
        space = json.loads(entities.read_text())["UserConfig"]["Namespaces"][0]
        for queue in space.get("Queues", ()):
            self._add(queue["Name"], queue.get("Properties", {}))
        for topic in space.get("Topics", ()):
            self.topics[topic["Name"].lower()] = []
            for each in topic.get("Subscriptions", ()):
                name = f"{topic['Name']}/Subscriptions/{each['Name']}"
                self._add(name, each.get("Properties", {}))
                self.topics[topic["Name"].lower()].append(name)
                self.filters[name.lower()] = dict(_rules(each.get("Rules", ())))

    def _add(self, name: str, properties: dict[str, Any]) -> None:
        plain = {"LockDuration": properties.get("LockDuration"), "MaxDeliveryCount": 10}
        queue = MemoryQueue(name, properties, self, MemoryQueue(name + "/$DeadLetterQueue", plain, self))
        self.queues[name.lower()] = queue
        self.queues[name.lower() + DEAD_LETTERS] = queue.dead  # type: ignore[assignment]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for queue in self.queues.values():
                queue.tick()

    def queue(self, address: str) -> MemoryQueue:
        found = self.queues.get(address.lower())
        if found is None:
            raise brokererrors.EntityNotFound(f"The messaging entity '{address}' could not be found.")
        return found

    def put(self, address: str, sent: Incoming) -> int:
        if (names := self.topics.get(address.lower())) is None:
            queue = self.queue(address)
            return 0 if queue.is_duplicate(sent) else queue.put(sent)
        copies = []
        for name in names:
            queue = self.queues[name.lower()]
            rule = next((rule for rule in self.filters[name.lower()].values() if passes(rule, sent)), None)
            if rule is not None:
                copies.append((queue, queue.put(sent)))
        number = next(self.numbers)
        self.scheduled[number] = copies
        return number

    def open_sender(self, address: str) -> SenderInfo:
        if address.lower() not in self.topics:
            self.queue(address)
        return SenderInfo(2**20)

    def open_receiver(self, address: str, *, push: ports.Push, receive_and_delete: bool) -> MemoryReceiver:
        queue = self.queue(address)
        if queue.sessions:
            raise brokererrors.NotAllowed("It is not possible for an entity that requires sessions to create a non-sessionful receiver.")
        return MemoryReceiver(queue, push, receive_and_delete)

    async def accept_session(
        self, address: str, session_id: str | None, *, push: ports.Push, receive_and_delete: bool, patience: float
    ) -> MemorySessionReceiver:
        queue = self.queue(address)
        if not queue.sessions:
            raise brokererrors.NotAllowed("A sessionful receiver cannot be created on an entity that does not require sessions.")
        if session_id is None:
            session_id = queue.free_session() or await self._wait(queue, patience)
        elif session_id in queue.held:
            raise brokererrors.SessionCannotBeLocked(f"The requested session '{session_id}' cannot be accepted. It may be locked.")
        receiver = MemorySessionReceiver(queue, push, receive_and_delete, session_id)
        queue.held[session_id] = Held(receiver, now() + queue.lock_duration)
        return receiver

    async def _wait(self, queue: MemoryQueue, patience: float) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        queue.accepting.append((future, None))
        try:
            return await asyncio.wait_for(future, patience)
        except TimeoutError:
            raise brokererrors.AcceptTimeout("No session became free in time.") from None
        finally:
            queue.accepting = [each for each in queue.accepting if each[0] is not future]

    async def send(self, address: str, messages: Sequence[Incoming]) -> list[int]:
        if address.lower() not in self.topics and self.queue(address).sessions and any(not each.session_id for each in messages):
            raise brokererrors.NotAllowed("The SessionId was not set on a message, and it cannot be sent to the entity.")
        return [self.put(address, each) for each in messages]

    async def cancel_scheduled(self, address: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            copies = self.scheduled.get(number) or [(self.queue(address), number)]
            for queue, each in copies:
                entry = queue.entries.get(each)
                if entry is None or entry.stored.state != brokervalues.SCHEDULED:
                    raise brokererrors.MessageNotFound(f"No scheduled message has the number {number}.")
                del queue.entries[each]

    async def settle(self, address: str, token: UUID, disposition: brokervalues.Disposition) -> None:
        self.queue(address).settle(token, disposition)

    async def renew(self, address: str, token: UUID) -> datetime:
        lock = self.queue(address).locks.get(token)
        if lock is None:
            raise brokererrors.MessageLockLost("The lock has expired.")
        lock.until = now() + self.queue(address).lock_duration
        return lock.until

    async def peek(self, address: str, from_number: int, count: int, session_id: str | None) -> list[BrokerMessage]:
        found = self._peekable(self.queue(address), from_number, session_id)
        return list(itertools.islice(found, count))

    def _peekable(self, queue: MemoryQueue, start: int, session_id: str | None) -> Iterator[BrokerMessage]:
        for number in sorted(queue.entries):
            stored = queue.entries[number].stored
            if number >= start and (session_id is None or stored.session_id == session_id):
                yield stored

    async def receive_deferred(
        self,
        address: str,
        numbers: Sequence[int],
        *,
        receive_and_delete: bool,
        session_id: str | None,  # noqa: ARG002
    ) -> list[Locked]:
        queue = self.queue(address)
        entries = [queue.entries.get(number) for number in numbers]
        if not all(entry is not None and entry.stored.state == brokervalues.DEFERRED and entry.lock is None for entry in entries):
            raise brokererrors.MessageNotFound("A sequence number is not that of a deferred message.")
        found = []
        for entry in entries:
            assert entry is not None
            if receive_and_delete:
                del queue.entries[entry.stored.sequence_number]
                found.append(Locked(entry.stored, UUID(int=0), now()))
            else:
                lock = queue.lock(entry, None)
                found.append(Locked(entry.stored, lock.token, lock.until))
        return found

    async def list_sessions(self, address: str, since: datetime | None, skip: int, top: int) -> list[str]:  # noqa: ARG002
        queue = self.queue(address)
        ids = {entry.stored.session_id for entry in queue.entries.values() if entry.stored.session_id} | set(queue.states)
        return sorted(ids)[skip : skip + top]

    async def add_rule(self, address: str, rule: FilterRule) -> None:
        rules = self._rules_of(address)
        if rule.name in rules:
            raise brokererrors.RuleExists(f"The rule '{rule.name}' exists already.")
        rules[rule.name] = replace(rule, created=now())

    async def remove_rule(self, address: str, name: str) -> None:
        if self._rules_of(address).pop(name, None) is None:
            raise brokererrors.RuleNotFound(f"There is no rule '{name}'.")

    async def rules(self, address: str) -> list[FilterRule]:
        return [rule for _, rule in sorted(self._rules_of(address).items())]

    def _rules_of(self, address: str) -> dict[str, FilterRule]:
        self.queue(address)
        return self.filters[address.lower()]


def _rules(rules: Sequence[dict[str, Any]]) -> Iterator[tuple[str, FilterRule]]:
    for rule in rules:
        properties = rule["Properties"]
        if properties["FilterType"] == "Correlation":
            given = dict(properties["CorrelationFilter"])
            custom = given.pop("Properties", {})
            names = {"Label": "label", "CorrelationId": "correlation_id"}
            fields = {names[key]: value for key, value in given.items()}
            yield rule["Name"], FilterRule(rule["Name"], filterrules.CorrelationFilter(**fields, properties=custom))
        else:
            yield rule["Name"], FilterRule(rule["Name"], filterrules.SqlFilter(properties["SqlFilter"]["SqlExpression"]))
    if not rules:
        yield "$Default", FilterRule("$Default", filterrules.TrueFilter())


def passes(rule: FilterRule, sent: Incoming) -> bool:
    match rule.filter:
        case filterrules.TrueFilter():
            return True
        case filterrules.CorrelationFilter() as wanted:
            names = ("label", "correlation_id", "message_id", "to", "reply_to", "session_id", "reply_to_session_id", "content_type")
            same = all(getattr(wanted, name) in (None, getattr(sent, name)) for name in names)
            return same and all(sent.properties.get(key) == value for key, value in wanted.properties.items())
        case _:
            return False
