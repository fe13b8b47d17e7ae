"""A queue or subscription with sessions: its messages are received session by session, each by one receiver at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Any

from bridge.adapters.embedded import sessions
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import Consumer, MessageQueue
from bridge.adapters.embedded.window import Window
from bridge.errors import Undeliverable

WINDOW = 200  #: messages of one session that are kept in memory
_RETRY_SECONDS = 1.0


class SessionMessages(MessageQueue):
    """The messages of one session that is locked."""

    parent: SessionQueue

    @property
    def depth(self) -> int:
        """That of the whole queue."""
        return self.parent.depth

    @depth.setter
    def depth(self, depth: int) -> None:
        self.parent.depth = depth


class SessionQueue(MessageQueue):
    """Knows which sessions are open, and finds a session that is free and has messages for those who wait for one.

    The queue itself delivers nothing. It settles what belongs to no open session.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._open: dict[str, SessionMessages] = {}
        self._waiting: deque[asyncio.Future[SessionMessages]] = deque()
        self._searching = False
        self._last = ""
        self._alarm: asyncio.TimerHandle | None = None

    def attach(self, consumer: Consumer) -> None:  # noqa: ARG002 - of the interface
        """Not possible. Raises Undeliverable."""
        raise Undeliverable(f"{self.name} requires sessions.", hint="Receive it over AMQP with a session receiver.")

    def add(self, stored: StoredMessage) -> None:
        """Add a message that the database already holds."""
        messages = self._open.get(_session(stored))
        if messages is not None:
            messages.add(stored)
            return
        self._note_scheduled(stored)
        self._search()

    def expire(self, stored: StoredMessage) -> bool:
        """End a message whose time to live is over, unless it is in flight. Returns whether it was ended."""
        messages = self._open.get(_session(stored))
        return messages.expire(stored) if messages is not None else super().expire(stored)

    def messages_of(self, session: str) -> MessageQueue:
        """Where the messages of a session are settled: the open session, or else this queue."""
        return self._open.get(session, self)

    def stop(self) -> None:
        """Deliver nothing more, and end all waits."""
        super().stop()
        for messages in self._open.values():
            messages.stop()
        for waiter in self._waiting:
            waiter.cancel()
        if self._alarm is not None:
            self._alarm.cancel()

    def open(self, session: str) -> SessionMessages | None:
        """Lock a session; None if it is locked already."""
        if session in self._open or self._stopped:
            return None
        messages = SessionMessages(
            self.name, self.properties, self._database, self._prepare_dead_letter, Window(WINDOW), time=self._time, session=session
        )
        messages.parent = self
        self._open[session] = messages
        return messages

    async def open_next(self) -> SessionMessages:
        """Lock the next free session that has messages, as soon as there is one. Who waits longest gets the first."""
        waiter: asyncio.Future[SessionMessages] = self._loop.create_future()
        self._waiting.append(waiter)
        self._search()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.close_session(waiter.result())
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def close_session(self, messages: SessionMessages) -> None:
        """Unlock a session. What was submitted for its messages before is done first."""
        messages.stop()
        self._open.pop(messages.session, None)
        self._search()

    def _search(self) -> None:
        """Look for a free session in the database. The read is queued among the writes, so it sees those that were reported before it."""
        if self._searching or self._stopped or not any(not waiter.done() for waiter in self._waiting):
            return
        self._searching = True
        find = partial(sessions.find_free, self.name, self._last, self._time.now(), frozenset(self._open))
        self._database.submit(find, self._found)

    def _found(self, outcome: tuple[str | None, float | None] | Exception) -> None:
        self._searching = False
        if isinstance(outcome, Exception):
            self._wake_after(_RETRY_SECONDS)
            return
        session, due = outcome
        if session is None:
            if due is not None:
                self._wake_after(max(due - self._time.now(), 0.001))
            return
        waiter = next((waiter for waiter in self._waiting if not waiter.done()), None)
        if waiter is not None and (messages := self.open(session)) is not None:
            self._last = session
            waiter.set_result(messages)
        self._search()

    def _wake_after(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(min(seconds, 3600.0), self._search)


def _session(stored: StoredMessage) -> str:
    return (stored.amqp.session or "") if stored.amqp is not None else ""
