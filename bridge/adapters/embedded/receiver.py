"""A consumer in another process: it gets messages under a lock with an end, as Service Bus gives them (peek-lock)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from bridge.adapters.embedded.entry import Entry
from bridge.adapters.embedded.source import Source


@dataclass(slots=True)
class Lock:
    """A message that one consumer has until `until` (seconds since 1970)."""

    token: str
    entry: Entry
    until: float
    timer: asyncio.TimerHandle


class Receiver:
    """Takes as many messages as it has credit for; settling gives one credit back.

    A lock that ends, and a receiver that closes, give the message back, counted.
    """

    def __init__(self, source: Source, push: Callable[[Lock], None]) -> None:
        self.credit = 0
        self._source, self._push = source, push
        self._loop = asyncio.get_running_loop()
        self._locks: dict[str, Lock] = {}
        self._lapsed: set[str] = set()
        self._closed = False

    def grant(self, credit: int) -> None:
        """Take `credit` messages more."""
        if not self._closed:
            self.credit += credit
            self._source.pump()

    def take(self, entry: Entry) -> None:
        """Lock a message and push it."""
        token = str(uuid.uuid4())
        lock = Lock(token, entry, self._end(), self._loop.call_later(self._duration, self._expire, token))
        self._locks[token] = lock
        self._push(lock)

    def knows(self, token: str) -> bool:
        """Whether it was given this lock and has not ended it."""
        return token in self._locks or token in self._lapsed

    def renew(self, token: str) -> float | None:
        """Begin the lock's duration anew; its end in seconds since 1970, or None if the lock is lost."""
        lock = self._locks.get(token)
        if lock is None:
            return None
        lock.timer.cancel()
        lock.until, lock.timer = self._end(), self._loop.call_later(self._duration, self._expire, token)
        return lock.until

    def complete(self, token: str, then: Callable[[], None]) -> bool:
        """Remove the message, then call `then`; False if the lock is lost."""
        lock = self._settle(token)
        if lock is not None:
            self._source.complete(lock.entry, then)
        return lock is not None

    def abandon(self, token: str, then: Callable[[], None]) -> bool:
        """Give the message back, then call `then`; False if the lock is lost."""
        lock = self._settle(token)
        if lock is not None:
            self._source.come_back(lock.entry, 0, "abandoned by its receiver", then)
        return lock is not None

    def dead_letter(self, token: str, reason: str, description: str, then: Callable[[], None]) -> bool:
        """Move the message to the dead letters, then call `then`; False if the lock is lost."""
        lock = self._settle(token)
        if lock is not None:
            self._source.dead_letter(lock.entry, reason, description, then)
        return lock is not None

    def close(self) -> None:
        """Give all messages back."""
        self._closed = True
        self._source.detach(self)
        for token in list(self._locks):
            self._give_back(token, "its receiver went away")

    @property
    def _duration(self) -> float:
        return self._source.properties.lock_duration.total_seconds()

    def _end(self) -> float:
        return time.time() + self._duration

    def _expire(self, token: str) -> None:
        # The credit stays used until the consumer settles: whoever is too slow does not get more at once.
        self._give_back(token, "its lock ended")
        self._lapsed.add(token)

    def _give_back(self, token: str, reason: str) -> None:
        lock = self._release(token)
        if lock is not None:
            self._source.come_back(lock.entry, 0, reason)

    def _settle(self, token: str) -> Lock | None:
        """End a lock and give its credit back once."""
        lock = self._release(token)
        if lock is not None or token in self._lapsed:
            self._lapsed.discard(token)
            self._loop.call_soon(self.grant, 1)
        return lock

    def _release(self, token: str) -> Lock | None:
        lock = self._locks.pop(token, None)
        if lock is not None:
            lock.timer.cancel()
        return lock
