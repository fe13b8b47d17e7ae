"""The messages for later that are in memory, in the order they fall due, and their way to the bus."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bridge.adapters.dapr.held import SLOT, slot_of
from bridge.errors import Unavailable, Undeliverable
from bridge.ports import Message

_AT_ONCE = 100  #: messages that are published together
_AGAIN = 1.0  #: seconds until what the bus did not take is tried again
_log = logging.getLogger("bridge.dapr")

Publish = Callable[[Sequence[Message]], Awaitable[None]]
Keep = Callable[[Message, str], Awaitable[None]]
"""Keeps a message that was refused for good, and why it was, for somebody to look at. Raises PortError."""


class Due:
    """Publishes each message through `publish` when its time has come. What is refused for good then goes to `keep`."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.keep: Keep = _nobody
        self._waiting: list[tuple[datetime, int, Message]] = []
        self._busy: Counter[int] = Counter()  # by slot: messages that are on their way to the store or the bus
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def add(self, message: Message) -> None:
        """Publish it when it is due."""
        heapq.heappush(self._waiting, (due_at(message), next(self._numbers), message))
        self._changed.set()

    @property
    def slots(self) -> set[int]:
        """The slots of which something has not reached the bus."""
        return {slot_of(due) for due, _, _ in self._waiting} | set(self._busy)

    @contextlib.contextmanager
    def busy_with(self, messages: Sequence[Message]) -> Iterator[None]:
        """Count the messages among `slots`, although they do not wait here."""
        slots = [slot_of(due_at(message)) for message in messages]
        self._busy.update(slots)
        try:
            yield
        finally:
            self._busy.subtract(slots)
            self._busy += Counter()  # forgets the slots that came to nothing

    async def run(self) -> None:
        """Publish without an end."""
        while True:
            self._changed.clear()
            pause = (self._waiting[0][0] - datetime.now(UTC)).total_seconds() if self._waiting else SLOT
            if pause > 0:
                await self._something_new_within(pause)
                continue
            taken = self._take()
            with self.busy_with(taken):
                left = await self.send(taken)
                for message in left:
                    self.add(message)
            if left:
                await asyncio.sleep(_AGAIN)

    async def send(self, messages: Sequence[Message]) -> list[Message]:
        """Publish at once; what the bus did not take and must be tried again."""
        outcomes = await asyncio.gather(*map(self._send, messages), return_exceptions=True)
        left = [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is not None]
        if left:
            why = next(outcome for outcome in outcomes if outcome is not None)
            _log.warning("%s messages for later wait on: the bus did not take them (%s)", len(left), why)
        return left

    async def _send(self, message: Message) -> None:
        try:
            await self._publish([replace(message, deliver_at=None)])
        except Undeliverable as refused:
            await self.keep(message, str(refused))

    def _take(self) -> list[Message]:
        now, taken = datetime.now(UTC), list[Message]()
        while self._waiting and self._waiting[0][0] <= now and len(taken) < _AT_ONCE:
            taken.append(heapq.heappop(self._waiting)[2])
        return taken

    async def _something_new_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


async def _nobody(_message: Message, _why: str) -> None:
    raise Unavailable("Nobody keeps what was refused for good yet.")


def due_at(message: Message) -> datetime:
    """When it is due; only messages that have `deliver_at` come here."""
    assert message.deliver_at is not None  # noqa: S101 - the bus holds no others
    return message.deliver_at
