"""The queues of a broker in memory, and their receivers."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from bridge.adapters.embedded.amqp import brokererrors, brokervalues, ports
from bridge.adapters.embedded.amqp.brokervalues import BrokerMessage, Incoming, Locked

DEAD_LETTERS = "/$deadletterqueue"
TICK = 0.02

if TYPE_CHECKING:
    from tests.adapters.embedded.amqp.memory_broker import MemoryBroker


def now() -> datetime:
    return datetime.now(UTC)


def span(text: str | None) -> timedelta | None:
    """The durations that the entities file uses: PT5S, PT1M, PT1H."""
    return None if text is None else timedelta(**{{"S": "seconds", "M": "minutes", "H": "hours"}[text[-1]]: float(text[2:-1])})


@dataclass
class Entry:
    stored: BrokerMessage
    sent: Incoming
    lock: Lock | None = None


@dataclass
class Lock:
    entry: Entry
    token: UUID
    until: datetime
    receiver: MemoryReceiver | None


@dataclass
class Held:
    """A session that is locked."""

    receiver: MemorySessionReceiver
    until: datetime


@dataclass
class MemoryQueue:
    name: str
    properties: dict[str, Any]
    broker: MemoryBroker
    dead: MemoryQueue | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    ready: list[int] = field(default_factory=list)
    receivers: list[MemoryReceiver] = field(default_factory=list)
    locks: dict[UUID, Lock] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    states: dict[str, bytes] = field(default_factory=dict)
    accepting: list[tuple[asyncio.Future[str], None]] = field(default_factory=list)
    seen: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        get = self.properties.get
        self.lock_duration = span(get("LockDuration")) or timedelta(seconds=60)
        self.most = get("MaxDeliveryCount") or 10
        self.sessions = bool(get("RequiresSession"))
        self.time_to_live = span(get("DefaultMessageTimeToLive"))

    def is_duplicate(self, sent: Incoming) -> bool:
        if not self.properties.get("RequiresDuplicateDetection"):
            return False
        window = span(self.properties.get("DuplicateDetectionHistoryTimeWindow")) or timedelta(minutes=10)
        known = self.seen.get(sent.message_id)
        if known is not None and known + window > now():
            return True
        self.seen[sent.message_id] = now()
        return False

    def put(self, sent: Incoming, source: str = "", add: dict[str, Any] | None = None) -> int:
        if (target := self.properties.get("ForwardTo")) and (sent.scheduled is None or sent.scheduled <= now()):
            return self.broker.put(target, sent)
        number = next(self.broker.numbers)
        moment = now()
        waits = sent.scheduled is not None and sent.scheduled > moment
        lives = min((each for each in (sent.time_to_live, self.time_to_live) if each), default=None)
        start = max(moment, sent.scheduled) if waits and sent.scheduled else moment
        stored = BrokerMessage(
            number,
            moment,
            sent.encoded,
            expires=None if lives is None else start + lives,
            state=brokervalues.SCHEDULED if waits else brokervalues.ACTIVE,
            scheduled_for=sent.scheduled,
            session_id=sent.session_id,
            priority=sent.priority,
            durable=sent.durable,
            dead_letter_source=source,
            properties_to_add=add or {},
        )
        self.entries[number] = Entry(stored, sent)
        if not waits:
            self.make_ready(number)
        return number

    def make_ready(self, number: int) -> None:
        heapq.heappush(self.ready, number)
        self.pump()

    def pump(self) -> None:
        if self.sessions:
            self._offer_sessions()
        for receiver in list(self.receivers):
            while receiver.credit > 0 and (entry := self._next(receiver.session_id if self.sessions else None)):
                receiver.deliver(entry)

    def _next(self, session_id: str | None) -> Entry | None:
        skipped, found = [], None
        while self.ready and found is None:
            number = heapq.heappop(self.ready)
            entry = self.entries.get(number)
            if entry is None or entry.lock or entry.stored.state != brokervalues.ACTIVE or self._expire(entry):
                continue
            if session_id is not None and entry.stored.session_id != session_id:
                skipped.append(number)
            else:
                found = entry
        for number in skipped:
            heapq.heappush(self.ready, number)
        return found

    def _expire(self, entry: Entry) -> bool:
        stored = entry.stored
        if stored.expires is None or stored.expires > now() or self.dead is None:
            return False
        if self.properties.get("DeadLetteringOnMessageExpiration"):
            self.bury(entry, brokervalues.Reject("TTLExpiredException", "The message expired and was dead lettered."))
        else:
            self.entries.pop(stored.sequence_number, None)
        return True

    def bury(self, entry: Entry, why: brokervalues.Reject) -> None:
        self.entries.pop(entry.stored.sequence_number, None)
        entry.lock = None
        add = {**entry.stored.properties_to_add, **why.properties}
        add |= {"DeadLetterReason": why.reason} if why.reason is not None else {}
        add |= {"DeadLetterErrorDescription": why.description} if why.description is not None else {}
        if target := self.properties.get("ForwardDeadLetteredMessagesTo"):
            self.broker.queue(target).put(replace(entry.sent, scheduled=None, time_to_live=None), self.name, add)
        elif self.dead is not None:
            self.dead.put(replace(entry.sent, scheduled=None, time_to_live=None), self.name, add)

    def lock(self, entry: Entry, receiver: MemoryReceiver | None) -> Lock:
        lock = entry.lock = Lock(entry, uuid4(), now() + self.lock_duration, receiver)
        self.locks[lock.token] = lock
        return lock

    def settle(self, token: UUID, wanted: brokervalues.Disposition) -> None:
        lock = self.locks.pop(token, None)
        if lock is None or lock.entry.lock is not lock:
            if self.sessions and lock is not None:
                raise brokererrors.SessionLockLost("The session lock has expired.")
            raise brokererrors.MessageLockLost("The lock has expired, or the message was settled.")
        entry = lock.entry
        entry.lock = None
        match wanted:
            case brokervalues.Complete():
                self.entries.pop(entry.stored.sequence_number, None)
            case brokervalues.Release():
                asyncio.get_running_loop().call_later(0.1, self._back, entry)
            case brokervalues.Reject():
                self.bury(entry, wanted)
            case _:
                add = {**entry.stored.properties_to_add, **wanted.properties}
                entry.stored = replace(entry.stored, properties_to_add=add)
                if isinstance(wanted, brokervalues.Defer) or entry.stored.state == brokervalues.DEFERRED:
                    entry.stored = replace(entry.stored, state=brokervalues.DEFERRED)
                else:
                    self.return_counted(entry)

    def return_counted(self, entry: Entry) -> None:
        entry.lock = None
        entry.stored = replace(entry.stored, delivery_count=entry.stored.delivery_count + 1)
        if entry.stored.delivery_count >= self.most and self.dead is not None:
            self.bury(entry, brokervalues.Reject("MaxDeliveryCountExceeded", f"Not consumed after {self.most} delivery attempts."))
        else:
            self._back(entry)

    def _back(self, entry: Entry) -> None:
        if entry.stored.sequence_number in self.entries and entry.lock is None:
            self.make_ready(entry.stored.sequence_number)

    def tick(self) -> None:
        moment = now()
        for lock in [each for each in self.locks.values() if each.until <= moment]:
            if not (self.sessions and lock.entry.stored.session_id in self.held):
                del self.locks[lock.token]
                if lock.entry.lock is lock:
                    self.return_counted(lock.entry)
        for session_id in [each for each, held in self.held.items() if held.until <= moment]:
            self.held[session_id].receiver.lose()
        for number, entry in list(self.entries.items()):
            stored = entry.stored
            if stored.state == brokervalues.SCHEDULED and stored.scheduled_for is not None and stored.scheduled_for <= moment:
                if target := self.properties.get("ForwardTo"):
                    del self.entries[number]
                    self.broker.put(target, replace(entry.sent, scheduled=None))
                    continue
                entry.stored = replace(stored, state=brokervalues.ACTIVE, enqueued=moment)
                self.make_ready(number)
            elif stored.state == brokervalues.ACTIVE and entry.lock is None:
                self._expire(entry)

    # sessions

    def free_session(self) -> str | None:
        waiting = sorted(number for number in self.ready if number in self.entries and self.entries[number].lock is None)
        ids = (self.entries[number].stored.session_id for number in waiting)
        return next((each for each in ids if each is not None and each not in self.held), None)

    def _offer_sessions(self) -> None:
        while self.accepting and (free := self.free_session()) is not None:
            future, _ = self.accepting.pop(0)
            if not future.done():
                self.held[free] = Held(MemorySessionReceiver(self, lambda _: None, False, free), now() + self.lock_duration)
                future.set_result(free)


class MemoryReceiver:
    def __init__(self, queue: MemoryQueue, push: ports.Push, delete: bool) -> None:
        self.queue, self.push, self.delete = queue, push, delete
        self.credit = 0
        self.session_id: str = ""
        queue.receivers.append(self)

    def grant(self, credit: int) -> None:
        self.credit = credit
        self.queue.pump()

    def drain(self) -> int:
        left, self.credit = self.credit, 0
        return left

    def deliver(self, entry: Entry) -> None:
        self.credit -= 1
        if self.delete:
            self.queue.entries.pop(entry.stored.sequence_number)
            self.push(Locked(entry.stored, uuid4(), now()))
        else:
            lock = self.queue.lock(entry, self)
            self.push(Locked(entry.stored, lock.token, lock.until))

    async def settle(self, token: UUID, wanted: brokervalues.Disposition) -> None:
        self.queue.settle(token, wanted)

    def close(self, *, gone: bool = False) -> None:
        self.credit = 0
        if self in self.queue.receivers:
            self.queue.receivers.remove(self)
        if gone:
            for lock in [each for each in self.queue.locks.values() if each.receiver is self]:
                del self.queue.locks[lock.token]
                lock.entry.lock = None
                self.queue._back(lock.entry)


class MemorySessionReceiver(MemoryReceiver):
    def __init__(self, queue: MemoryQueue, push: ports.Push, delete: bool, session_id: str) -> None:
        super().__init__(queue, push, delete)
        self.session_id = session_id
        self.lost = False

    @property
    def locked_until(self) -> datetime:
        return self.queue.held[self.session_id].until

    def _check(self) -> Held:
        held = self.queue.held.get(self.session_id)
        if self.lost or held is None or held.receiver is not self:
            raise brokererrors.SessionLockLost("The session lock has expired.")
        return held

    async def settle(self, token: UUID, wanted: brokervalues.Disposition) -> None:
        self._check()
        self.queue.settle(token, wanted)

    async def renew(self) -> datetime:
        self._check().until = now() + self.queue.lock_duration
        return self.locked_until

    async def state(self) -> bytes | None:
        self._check()
        return self.queue.states.get(self.session_id)

    async def set_state(self, state: bytes | None) -> None:
        self._check()
        if state is None:
            self.queue.states.pop(self.session_id, None)
        else:
            self.queue.states[self.session_id] = state

    def lose(self) -> None:
        self.lost = True
        self.close(gone=True)

    def close(self, *, gone: bool = False) -> None:  # noqa: ARG002
        held = self.queue.held.get(self.session_id)
        if held is not None and held.receiver is self:
            del self.queue.held[self.session_id]
        super().close(gone=True)
        self.queue.pump()
