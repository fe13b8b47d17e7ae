"""A receiver over AMQP that has locked one session of a queue or subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from bridge.adapters.embedded import sessions
from bridge.adapters.embedded.amqp.brokererrors import SessionLockLost
from bridge.adapters.embedded.amqp.ports import Push
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.locks import LockTable
from bridge.adapters.embedded.queuereceiver import QueueReceiver
from bridge.adapters.embedded.sessionqueue import SessionMessages
from bridge.steadytime import SteadyTime

_LOST = "The lock of the session has ended. Accept the session again."


class QueueSession(QueueReceiver):
    """Implements `SessionReceiver` of the AMQP ports. Messages have no lock of their own: they are locked as long as the session is."""

    def __init__(  # noqa: PLR0913 - each is one neighbour
        self,
        messages: SessionMessages,
        database: Database,
        steady: SteadyTime,
        push: Push,
        *,
        receive_and_delete: bool,
        closed: Callable[[QueueSession], None],
    ) -> None:
        self.locks = LockTable(None)
        super().__init__(messages, self.locks, steady, push, receive_and_delete=receive_and_delete)
        self._messages, self._database, self._closed = messages, database, closed
        self._loop = asyncio.get_running_loop()
        self._lost_it = False
        self._start()

    @property
    def session_id(self) -> str:
        """The session."""
        return self._messages.session

    @property
    def locked_until(self) -> datetime:
        """When the lock of the session ends, by the clock."""
        return datetime.now(UTC) + timedelta(seconds=self._timer.when() - self._loop.time())

    async def renew(self) -> datetime:
        """Lock the session anew. Raises SessionLockLost."""
        self.check()
        self._timer.cancel()
        self._start()
        return self.locked_until

    async def state(self) -> bytes | None:
        """The state of the session. Raises SessionLockLost, Unavailable."""
        self.check()
        rows = self._database.read(*sessions.state_of(self._messages.name, self.session_id))
        return bytes(rows[0][0]) if rows else None

    async def set_state(self, state: bytes | None) -> None:
        """Keep a state for the session, durably. Raises SessionLockLost; Full or Unavailable."""
        self.check()
        await self._database.write(partial(sessions.set_state, self._messages.name, self.session_id, state, self._steady.now()))

    def check(self) -> None:
        """Raises SessionLockLost."""
        if self._lost_it:
            raise SessionLockLost(_LOST)

    def until_of(self, _token: UUID) -> datetime:
        """When the lock of a message ends: with that of the session."""
        return self.locked_until

    def close(self, *, gone: bool = False) -> None:  # noqa: ARG002 - either way the session is unlocked
        """Unlock the session. Messages that were not settled come again, and their deliveries do not count, as Azure documents it."""
        if not self._lost_it:
            self._end()
            self._messages.parent.close_session(self._messages)

    def _start(self) -> None:
        self._timer = self._loop.call_later(self._messages.properties.lock_duration.total_seconds(), self._expire)

    def _expire(self) -> None:
        locks = self.locks.take_all(self)
        self._end()
        for lock in locks:
            lock.queue.give_back(lock.stored, "the lock of its session ended")
        self._messages.parent.close_session(self._messages)

    def _end(self) -> None:
        self._lost_it = True
        self._timer.cancel()
        self._stop()
        self._closed(self)

    def _lost(self) -> Exception:
        return SessionLockLost(_LOST) if self._lost_it else super()._lost()
