"""The embedded bus as a broker with the semantics of Azure Service Bus, for clients that speak AMQP."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from bridge.adapters.embedded import sessions, settlement
from bridge.adapters.embedded.addresses import Addresses
from bridge.adapters.embedded.amqp.brokererrors import (
    AcceptTimeout,
    MessageLockLost,
    MessageTooLarge,
    NotAllowed,
    ServerBusy,
    SessionCannotBeLocked,
    SessionLockLost,
)
from bridge.adapters.embedded.amqp.brokervalues import BrokerMessage, Disposition, Incoming, Locked
from bridge.adapters.embedded.amqp.filterrules import FilterRule
from bridge.adapters.embedded.amqp.ports import MessageReceiver, Push, SenderInfo, SessionReceiver
from bridge.adapters.embedded.brokermessages import broker_message
from bridge.adapters.embedded.bus import EmbeddedBus
from bridge.adapters.embedded.bynumber import MOST_AT_ONCE, NumberedMessages, settling_queue
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.drafts import Draft
from bridge.adapters.embedded.locks import LockTable
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import MessageQueue
from bridge.adapters.embedded.queuereceiver import LOST, NO_TOKEN, QueueReceiver
from bridge.adapters.embedded.queuesession import QueueSession
from bridge.adapters.embedded.sessionqueue import SessionMessages, SessionQueue
from bridge.entities import DEAD_LETTERS, Entities
from bridge.errors import PortError, Undeliverable

DATA_LIMIT = 8 * 2**30  #: bytes, as the setting data_limit has it
LONGEST_ID = 128  #: characters of a message id or session id (Azure's quota)


class EmbeddedBroker:
    """Implements `amqp.ports.Broker`. Locks live in memory: only this process uses the file, and every lock ends with the process.

    Beyond `data_limit`, the size of the database in bytes, nothing is taken from clients.
    """

    def __init__(self, bus: EmbeddedBus, entities: Entities, database: Database, *, data_limit: int = DATA_LIMIT) -> None:
        self._bus, self._database = bus, database
        self._data_limit, self._used, self._measured = data_limit, 0, -math.inf
        self._addresses = Addresses(entities)
        self._numbered = NumberedMessages(database, bus.steady)
        self._forwarding = {name: its.forward_to for name, its in entities.sources if its.forward_to}
        self._sessions_needed = {queue.name for queue in entities.queues if queue.properties.requires_session}
        self._locks: dict[str, LockTable] = {}
        self._open: dict[str, dict[str, QueueSession]] = {}

    # Senders.

    def open_sender(self, address: str) -> SenderInfo:
        """Check that messages may be sent to the address. Raises EntityNotFound, NotAllowed."""
        self._target(address)
        return SenderInfo(self._bus.largest_message)

    async def send(self, address: str, messages: Sequence[Incoming]) -> Sequence[int]:
        """Store all messages durably, or none; returns their sequence numbers, 0 for one that nothing stores.

        Raises EntityNotFound, NotAllowed, MessageTooLarge, ServerBusy.
        """
        name = self._target(address)
        for sent in messages:
            if len(sent.encoded) > self._bus.largest_message:
                raise MessageTooLarge(f"The message has {len(sent.encoded)} bytes; {self._bus.largest_message} are allowed.")
            _check_ids(sent)
            if name in self._sessions_needed and not sent.session_id:
                raise NotAllowed(f"{name} requires sessions; set the session id of the message.")
        with port_errors():
            self._check_room(messages)
            return await self._bus.send(name, [Draft.of_incoming(name, sent) for sent in messages])

    def _check_room(self, messages: Sequence[Incoming]) -> None:
        """Raises ServerBusy. The size is measured once a second, and what is sent in between is counted."""
        now = asyncio.get_running_loop().time()
        if now >= self._measured + 1:
            self._used, self._measured = self._database.bytes_used(), now
        self._used += sum(len(sent.encoded) for sent in messages)
        if self._used > self._data_limit:
            raise ServerBusy(
                f"The data directory holds {self._used:,} bytes; {self._data_limit:,} are allowed. Raise data_limit or receive."
            )

    async def cancel_scheduled(self, address: str, numbers: Sequence[int]) -> None:
        """Delete scheduled messages, all of them or none. Raises EntityNotFound, NotAllowed, MessageNotFound, ServerBusy."""
        self._target(address)
        with port_errors():
            await self._numbered.cancel_scheduled(self._queue_or_schedule(address), numbers)

    def _target(self, address: str) -> str:
        """The queue or topic that messages to this address go to."""
        found = self._addresses.topic(address) or self._addresses.path(address)
        if found is None:
            raise self._addresses.missing(address)
        if "/" in found:
            raise NotAllowed(f"{address!r} takes no messages from clients; send to its queue or topic.")
        return found

    # Receivers.

    def open_receiver(self, address: str, *, push: Push, receive_and_delete: bool) -> MessageReceiver:
        """Receive from an entity without sessions. Raises EntityNotFound, NotAllowed."""
        queue = self._receivable(address)
        if isinstance(queue, SessionQueue):
            raise NotAllowed(f"{address!r} requires sessions; receive from it with a session receiver.")
        return QueueReceiver(queue, self._locks_of(queue), self._bus.steady, push, receive_and_delete=receive_and_delete)

    async def accept_session(
        self,
        address: str,
        session_id: str | None,
        *,
        push: Push,
        receive_and_delete: bool,
        patience: float,
    ) -> SessionReceiver:
        """Lock a session, or the next free one for None, waiting up to `patience` seconds.

        Raises EntityNotFound, NotAllowed, SessionCannotBeLocked, AcceptTimeout.
        """
        queue = self._receivable(address)
        if not isinstance(queue, SessionQueue):
            raise NotAllowed(f"{address!r} has no sessions; receive from it without one.")
        opened = await _opened(queue, session_id, patience)
        closed = partial(self._forget_session, queue.name)
        session = QueueSession(opened, self._database, self._bus.steady, push, receive_and_delete=receive_and_delete, closed=closed)
        self._open.setdefault(queue.name, {})[opened.session] = session
        return session

    def _forget_session(self, path: str, session: QueueSession) -> None:
        self._open[path].pop(session.session_id, None)

    def _receivable(self, address: str) -> MessageQueue:
        queue = self._queue(address)
        if queue.name in self._forwarding:
            raise NotAllowed(f"{address!r} forwards its messages to {self._forwarding[queue.name]!r}; receive them there.")
        return queue

    def _queue(self, address: str) -> MessageQueue:
        path = self._addresses.path(address)
        if path is not None:
            return self._bus.queue(path)
        if self._addresses.topic(address) is not None:
            raise NotAllowed(f"{address!r} is a topic; receive from one of its subscriptions.")
        raise self._addresses.missing(address)

    def _queue_or_schedule(self, address: str) -> MessageQueue:
        topic = self._addresses.topic(address)
        return self._bus.schedule_of(topic) if topic is not None else self._queue(address)

    def _locks_of(self, queue: MessageQueue) -> LockTable:
        if queue.name not in self._locks:
            self._locks[queue.name] = LockTable(queue.properties.lock_duration)
        return self._locks[queue.name]

    # By lock token and by number, for whichever receiver of the entity.

    async def settle(self, address: str, token: UUID, disposition: Disposition) -> None:
        """End a delivery to whichever receiver of the entity has the lock. Raises MessageLockLost, EntityNotFound, NotAllowed."""
        for locks in self._tables(self._queue(address)):
            lock = locks.get(token)
            if lock is not None:
                settlement.check(lock, disposition)
                locks.take(token)
                await settlement.settle(lock, disposition)
                return
        raise MessageLockLost(LOST)

    async def renew(self, address: str, token: UUID) -> datetime:
        """Lock a message anew; returns when the lock ends. Raises MessageLockLost, EntityNotFound, NotAllowed."""
        queue = self._queue(address)
        if isinstance(queue, SessionQueue):
            raise NotAllowed(f"{address!r} has sessions; renew the lock of the session.")
        locks = self._locks_of(queue)
        lock = locks.renew(token)
        if lock is None:
            raise MessageLockLost(LOST)
        return locks.until(lock)

    def _tables(self, queue: MessageQueue) -> Iterator[LockTable]:
        yield self._locks_of(queue)
        for session in self._open.get(queue.name, {}).values():
            yield session.locks

    async def peek(self, address: str, from_number: int, count: int, session_id: str | None) -> Sequence[BrokerMessage]:
        """Messages in the order of their numbers, locked or not, deferred and scheduled ones too; nothing changes.

        Of a topic these are the messages that clients scheduled on it. Raises EntityNotFound, ServerBusy.
        """
        with port_errors():
            return self._numbered.peek(self._queue_or_schedule(address), session_id, from_number, count)

    async def receive_deferred(
        self, address: str, numbers: Sequence[int], *, receive_and_delete: bool, session_id: str | None
    ) -> Sequence[Locked]:
        """Lock or take deferred messages by their numbers, all of them or none.

        Raises EntityNotFound, NotAllowed, MessageNotFound, SessionLockLost, ServerBusy.
        """
        queue = self._queue(address)
        held = self._held_session(queue, session_id)
        with port_errors():
            claimed = self._numbered.claim_deferred(queue, session_id if held is not None else None, numbers)
        take = self._deleted if receive_and_delete else partial(self._locked, held)
        return [await take(settling_queue(queue, stored), stored) for stored in claimed]

    def _held_session(self, queue: MessageQueue, session_id: str | None) -> QueueSession | None:
        if not isinstance(queue, SessionQueue):
            return None
        if session_id is None:
            raise NotAllowed(f"{queue.name} requires sessions; name the session.")
        held = self._open.get(queue.name, {}).get(session_id)
        if held is None:
            raise SessionLockLost(f"The session {session_id[:128]!r} is not locked; accept it first.")
        return held

    async def _locked(self, held: QueueSession | None, queue: MessageQueue, stored: StoredMessage) -> Locked:
        stored.attempts += 1
        message = broker_message(stored, self._bus.steady.now(), stored.attempts - 1)
        if held is not None:
            return Locked(message, held.locks.lock(stored, queue, held).token, held.locked_until)
        locks = self._locks_of(queue)
        lock = locks.lock(stored, queue, self)
        return Locked(message, lock.token, locks.until(lock))

    async def _deleted(self, queue: MessageQueue, stored: StoredMessage) -> Locked:
        message = broker_message(stored, self._bus.steady.now(), stored.attempts)
        await settlement.complete(queue, stored)
        return Locked(message, NO_TOKEN, datetime.now(UTC))

    # Sessions and rules.

    async def list_sessions(self, address: str, since: datetime | None, skip: int, top: int) -> Sequence[str]:
        """Sessions that have messages or a state; with `since`, those whose state was set after it. Raises EntityNotFound, NotAllowed."""
        queue = self._queue(address)
        if not isinstance(queue, SessionQueue):
            raise NotAllowed(f"{address!r} has no sessions.")
        top = min(top, MOST_AT_ONCE)
        if since is None:
            query = sessions.with_messages(queue.name, skip, top)
        else:
            query = sessions.with_state_since(queue.name, since.timestamp(), skip, top)
        with port_errors():
            return [row[0] for row in self._database.read(*query)]

    async def add_rule(self, address: str, rule: FilterRule) -> None:
        """Add a rule to a subscription, durably. Raises EntityNotFound, NotAllowed, RuleExists, BadFilter, ServerBusy."""
        with port_errors():
            await self._bus.rulebook.add(self._subscription(address), rule)

    async def remove_rule(self, address: str, name: str) -> None:
        """Remove a rule from a subscription, durably. Raises EntityNotFound, NotAllowed, RuleNotFound, ServerBusy."""
        with port_errors():
            await self._bus.rulebook.remove(self._subscription(address), name)

    async def rules(self, address: str) -> Sequence[FilterRule]:
        """The rules of a subscription, in the order of their names. Raises EntityNotFound, NotAllowed."""
        return self._bus.rulebook.rules(self._subscription(address))

    def _subscription(self, address: str) -> str:
        path = self._queue(address).name
        if "/" not in path or path.endswith(DEAD_LETTERS):
            raise NotAllowed(f"{address!r} is no subscription; only subscriptions have rules.")
        return path

    def close(self) -> None:
        """End all locks. What was locked comes again when the file is opened."""
        for locks in self._locks.values():
            locks.close()
        for session in [each for its in self._open.values() for each in its.values()]:
            session.close()


def _check_ids(sent: Incoming) -> None:
    for name, text in (("message id", sent.message_id), ("session id", sent.session_id or "")):
        if len(text) > LONGEST_ID:
            raise NotAllowed(f"The {name} has {len(text):,} characters; {LONGEST_ID} are allowed.")


async def _opened(queue: SessionQueue, session_id: str | None, patience: float) -> SessionMessages:
    if session_id is not None:
        opened = queue.open(session_id)
        if opened is None:
            raise SessionCannotBeLocked(f"The session {session_id[:128]!r} of {queue.name} is locked by another receiver.")
        return opened
    try:
        async with asyncio.timeout(patience):
            return await queue.open_next()
    except TimeoutError:
        raise AcceptTimeout(f"No session of {queue.name} with messages became free within {patience:.0f} s.") from None


@contextmanager
def port_errors() -> Iterator[None]:
    """Errors of the bus become those of the broker."""
    try:
        yield
    except Undeliverable as fault:
        raise MessageTooLarge(str(fault)) from None
    except PortError as fault:
        raise ServerBusy(str(fault)) from None
