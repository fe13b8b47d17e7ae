"""A receiver over AMQP: it has credit, and gets messages under a lock, or in receive-and-delete mode without one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from bridge.adapters.embedded import settlement
from bridge.adapters.embedded.amqp.brokererrors import MessageLockLost
from bridge.adapters.embedded.amqp.brokervalues import Disposition, Locked, Release
from bridge.adapters.embedded.amqp.ports import Push
from bridge.adapters.embedded.brokermessages import broker_message
from bridge.adapters.embedded.locks import LockTable
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import MessageQueue
from bridge.steadytime import SteadyTime

REST = 0.1  #: seconds in which a receiver that has released a message gets none: one that is stopping gives back whatever it gets
LOST = "The lock has ended, or the message was settled. It is delivered again, unless it was completed."
NO_TOKEN = UUID(int=0)  #: of what was taken in receive-and-delete mode


class QueueReceiver:
    """Implements `MessageReceiver` of the AMQP ports."""

    def __init__(self, queue: MessageQueue, locks: LockTable, steady: SteadyTime, push: Push, *, receive_and_delete: bool) -> None:
        self.credit = 0
        self._queue, self._locks, self._steady, self._push = queue, locks, steady, push
        self._receive_and_delete = receive_and_delete
        self._withheld = 0  # credit that is given back after a rest
        self._resting: asyncio.TimerHandle | None = None
        self._attached = False

    def grant(self, credit: int) -> None:
        """From now on take up to `credit` messages."""
        if self._resting is not None:
            self._withheld = credit
            return
        self.credit = credit
        if not self._attached:
            self._attached = True
            self._queue.attach(self)
        else:
            self._queue.pump()

    def drain(self) -> int:
        """Take nothing more until the next grant; returns what was left."""
        left, self.credit, self._withheld = self.credit + self._withheld, 0, 0
        return left

    def deliver(self, stored: StoredMessage) -> None:
        """Lock a message and push it; or delete it, and push it when that is durable."""
        message = broker_message(stored, self._steady.now(), stored.attempts - 1)
        if self._receive_and_delete:
            self._queue.complete(stored, partial(self._push, Locked(message, NO_TOKEN, datetime.now(UTC))))
            return
        lock = self._locks.lock(stored, self._queue, self)
        self._push(Locked(message, lock.token, self.until_of(lock.token)))

    def until_of(self, token: UUID) -> datetime:
        """When a lock ends."""
        lock = self._locks.get(token)
        return self._locks.until(lock) if lock is not None else datetime.now(UTC)

    async def settle(self, token: UUID, disposition: Disposition) -> None:
        """End a delivery. Raises MessageLockLost, NotAllowed."""
        lock = self._locks.get(token)
        if lock is None:
            raise self._lost()
        settlement.check(lock, disposition)
        self._locks.take(token)
        if isinstance(disposition, Release):
            self._rest()
        await settlement.settle(lock, disposition)

    def close(self, *, gone: bool = False) -> None:
        """Take nothing more. Messages of a connection that is gone are given back; otherwise their locks last."""
        self._stop()
        if gone:
            for lock in self._locks.take_all(self):
                lock.queue.give_back(lock.stored, "its receiver went away")

    def _stop(self) -> None:
        self.drain()
        if self._attached:
            self._attached = False
            self._queue.detach(self)
        if self._resting is not None:
            self._resting.cancel()

    def _lost(self) -> Exception:
        return MessageLockLost(LOST)

    def _rest(self) -> None:
        self._withheld += self.credit
        self.credit = 0
        if self._resting is None:
            self._resting = asyncio.get_running_loop().call_later(REST, self._wake)

    def _wake(self) -> None:
        self._resting = None
        credit, self._withheld = self._withheld, 0
        if credit:
            self.grant(credit)
