"""The locks of the messages that receivers of one queue or session have, in memory: they end with the process."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import MessageQueue


@dataclass(slots=True, eq=False)
class MessageLock:
    """A message that is locked until the loop's time `ends`. `queue` is where it is settled, `owner` the receiver that has it."""

    token: uuid.UUID
    stored: StoredMessage
    queue: MessageQueue
    owner: object
    ends: float


class LockTable:
    """Locks that all last equally long, so that they end in the order in which they were made or renewed. None ends without `duration`.

    A message whose lock ends is given back, which counts as a delivery.
    """

    def __init__(self, duration: timedelta | None) -> None:
        self._duration = duration.total_seconds() if duration is not None else None
        self._locks: OrderedDict[uuid.UUID, MessageLock] = OrderedDict()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def lock(self, stored: StoredMessage, queue: MessageQueue, owner: object) -> MessageLock:
        """Lock a message."""
        found = MessageLock(uuid.uuid4(), stored, queue, owner, self._loop.time() + (self._duration or 0))
        self._locks[found.token] = found
        self._watch()
        return found

    def until(self, lock: MessageLock) -> datetime:
        """When a lock ends, by the clock."""
        return datetime.now(UTC) + timedelta(seconds=lock.ends - self._loop.time())

    def get(self, token: uuid.UUID) -> MessageLock | None:
        """The lock of this token. None if there is none, or it has ended."""
        return self._locks.get(token)

    def take(self, token: uuid.UUID) -> MessageLock | None:
        """Remove a lock, to settle its message. None if there is none, or it has ended."""
        return self._locks.pop(token, None)

    def renew(self, token: uuid.UUID) -> MessageLock | None:
        """Start a lock's time again. None if there is no such lock."""
        found = self._locks.get(token)
        if found is not None:
            found.ends = self._loop.time() + (self._duration or 0)
            self._locks.move_to_end(token)
        return found

    def take_all(self, owner: object) -> list[MessageLock]:
        """Remove all locks of a receiver."""
        found = [lock for lock in self._locks.values() if lock.owner is owner]
        for lock in found:
            del self._locks[lock.token]
        return found

    def close(self) -> None:
        """Forget all locks."""
        self._locks.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        if self._timer is None and self._duration is not None and self._locks:
            first = next(iter(self._locks.values()))
            self._timer = self._loop.call_at(first.ends, self._end)

    def _end(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._locks and (first := next(iter(self._locks.values()))).ends <= now:
            del self._locks[first.token]
            first.queue.give_back(first.stored, "its lock ended")
        self._watch()
