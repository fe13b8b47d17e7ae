"""Schedules messages on a bus that cannot do so: they are stored until they are due, and then published.

If they were published at once and rejected until they are due, they would either be redelivered in a hot loop or occupy the workers of the
sidecar. The replica that accepted a message publishes it on time. It reads the pages of a slot one minute before, so that memory contains
only what is due soon. If that replica has ended, another one finds the pages half a minute after they were due. So a message may be
published twice, but is never lost. If the bus permanently refuses it when it is due, it becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bridge.adapters.dapr.batching import Batcher
from bridge.adapters.dapr.schedule_store import SLOT, ScheduleStore, end_of, slot_of
from bridge.errors import PortError, Unavailable, Undeliverable
from bridge.ports import Keep, Message

SOON = timedelta(minutes=1)  #: before a slot's end: its messages are in memory from then on
GRACE = timedelta(seconds=30)  #: after a slot's end: what another replica has not released by then is taken over
_AT_ONCE = 100  #: messages that are published together
_RETRY = 1.0  #: seconds until the bus is tried again
_log = logging.getLogger("bridge.dapr")

Publish = Callable[[Sequence[Message]], Awaitable[None]]


class Scheduler:
    """Keeps messages until they are due. Every `every` seconds it looks for slots that begin or have ended."""

    def __init__(self, pages: ScheduleStore, *, every: float = SLOT) -> None:
        self._pages, self._every = pages, every
        self._due = DueQueue(_no_bus)
        self._writes: Batcher[Message, None] = Batcher(self._store, size=lambda each: len(each.body) + 1024)
        self._loaded: set[int] = set()  # slots whose messages are in memory
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, publish: Publish) -> None:
        """Publish messages through `publish` when they are due, including those of earlier processes. Raises Unavailable."""
        self._due = DueQueue(publish)
        await self._pages.open()
        await self._load()
        self._tasks = [asyncio.create_task(self._due.run()), asyncio.create_task(self._look_after())]

    def dead_letter_to(self, keep: Keep) -> None:
        """Pass messages that the bus permanently refuses to `keep`. Until this is called, and while `keep` fails, such a message waits."""
        self._due.keep = keep

    async def close(self) -> None:
        """Publish nothing more. Scheduled messages stay in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def schedule(self, message: Message) -> None:
        """Store a message that has `deliver_at`. It is durable when this returns. Raises Unavailable."""
        await self._writes.submit(message)

    async def _store(self, messages: Sequence[Message]) -> list[PortError | None]:
        by_slot: dict[int, list[Message]] = {}
        for message in messages:
            by_slot.setdefault(slot_of(due_at(message)), []).append(message)
        # A slot that is new has no page yet, so there is nothing to read.
        self._loaded |= {slot for slot in by_slot if _soon(slot)} - set(self._pages.own.slots)
        with self._due.busy_with(messages):
            await self._pages.add_slots(frozenset(by_slot))
            outcomes = await asyncio.gather(*(self._store_page(slot, each) for slot, each in by_slot.items()))
        of_slot = dict(zip(by_slot, outcomes, strict=True))
        return [of_slot[slot_of(due_at(message))] for message in messages]

    async def _store_page(self, slot: int, messages: Sequence[Message]) -> PortError | None:
        try:
            await self._pages.add_page(slot, messages)
        except PortError as error:
            return error
        if slot in self._loaded:
            for message in messages:
                self._due.add(message)
        return None

    async def _load(self) -> None:
        """Read the slots that are due soon into memory."""
        for slot in self._pages.own.slots:
            if slot in self._loaded or not _soon(slot):
                continue
            # From here on what is scheduled for the slot goes to memory at once; what was scheduled before is on the pages.
            self._loaded.add(slot)
            try:
                messages = [message async for message in self._pages.messages(self._pages.own.replica, slot)]
            except BaseException:
                self._loaded.discard(slot)
                raise
            for message in messages:
                self._due.add(message)

    async def _look_after(self) -> None:
        """For each slot: read it if it is due soon, release it if it is done, and take it over if another replica has left it."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._load()
                await self._release()
                await self._take_over()
            except PortError as error:
                _log.warning("scheduled messages could not be checked, and will be checked again: %s", error)
            except Exception:  # noqa: BLE001 - this task must outlive a page that it cannot read
                _log.exception("scheduled messages could not be checked, and will be checked again")

    async def _release(self) -> None:
        """Release the slots that have ended and of which no message waits here."""
        now, waiting = datetime.now(UTC), self._due.slots
        done = {slot for slot in self._loaded if end_of(slot) < now and slot not in waiting}
        await self._pages.release(lambda slot: slot in done)
        self._loaded -= done

    async def _take_over(self) -> None:
        now = datetime.now(UTC)
        for record in await self._pages.others():
            overdue = [slot for slot in record.slots if end_of(slot) + GRACE < now]
            done = [slot for slot in overdue if await self._published_for(record.replica, slot)]
            if done:
                await self._pages.release_of(record, frozenset(done))

    async def _published_for(self, replica: str, slot: int) -> bool:
        """Publish what another replica has left in the slot. Returns whether the bus accepted all of it."""
        messages = [message async for message in self._pages.messages(replica, slot)]
        if await self._due.send(messages):
            return False
        _log.info("published %s scheduled messages that the replica %s had left", len(messages), replica)
        return True


class DueQueue:
    """The scheduled messages in memory. Each is published when it is due. Messages that the bus permanently refuses go to `keep`."""

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
        """The slots with messages that the bus has not accepted yet."""
        return {slot_of(due) for due, _, _ in self._waiting} | set(self._busy)

    @contextlib.contextmanager
    def busy_with(self, messages: Sequence[Message]) -> Iterator[None]:
        """While the context is open, count these slots among `slots`, although their messages do not wait here."""
        slots = [slot_of(due_at(message)) for message in messages]
        self._busy.update(slots)
        try:
            yield
        finally:
            self._busy.subtract(slots)
            self._busy += Counter()  # forgets the slots whose count is zero

    async def run(self) -> None:
        """Publish messages when they are due, until cancelled."""
        while True:
            self._changed.clear()
            pause = (self._waiting[0][0] - datetime.now(UTC)).total_seconds() if self._waiting else SLOT
            if pause > 0:
                await self._wait_for_change(pause)
                continue
            taken = self._take()
            with self.busy_with(taken):
                left = await self.send(taken)
                for message in left:
                    self.add(message)
            if left:
                await asyncio.sleep(_RETRY)

    async def send(self, messages: Sequence[Message]) -> list[Message]:
        """Publish messages now. Returns those that the bus did not accept and that must be sent again."""
        outcomes = await asyncio.gather(*map(self._send, messages), return_exceptions=True)
        left = [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is not None]
        if left:
            why = next(outcome for outcome in outcomes if outcome is not None)
            _log.warning("%s scheduled messages are due but keep waiting, because the bus refused them (%s)", len(left), why)
        return left

    async def _send(self, message: Message) -> None:
        try:
            await self._publish([replace(message, deliver_at=None)])
        except Undeliverable as error:
            await self.keep(message, str(error))

    def _take(self) -> list[Message]:
        now, taken = datetime.now(UTC), list[Message]()
        while self._waiting and self._waiting[0][0] <= now and len(taken) < _AT_ONCE:
            taken.append(heapq.heappop(self._waiting)[2])
        return taken

    async def _wait_for_change(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


def due_at(message: Message) -> datetime:
    """The time when the message is due. The message must have `deliver_at`."""
    assert message.deliver_at is not None  # noqa: S101 - the bus schedules no others
    return message.deliver_at


def _soon(slot: int) -> bool:
    return end_of(slot) < datetime.now(UTC) + SOON


async def _no_bus(_messages: Sequence[Message]) -> None:
    raise Unavailable("Scheduled messages wait for the bus.")


async def _nobody(_message: Message, _why: str) -> None:
    raise Unavailable("Permanently refused messages cannot be dead-lettered yet.")
