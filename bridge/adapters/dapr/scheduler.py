"""Scheduled messages on a bus that cannot schedule: they are kept in the store until they are due, and then published.

Publishing them at once and putting each off until it is due would either go round in a hot loop or fill the sidecar's workers with messages
that wait. The replica that was given a message publishes it in time; it reads the pages of a slot a minute before, so that memory holds
only what is due soon. If that replica ends, another one finds the pages half a minute after they fell due. So a message may be published
twice, but it is never lost. What the bus refuses for good by then becomes a dead letter.
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
    """Keeps messages until they are due. Every `every` seconds it looks for slots that begin or are over."""

    def __init__(self, pages: ScheduleStore, *, every: float = SLOT) -> None:
        self._pages, self._every = pages, every
        self._due = DueQueue(_no_bus)
        self._writes: Batcher[Message, None] = Batcher(self._store, size=lambda each: len(each.body) + 1024)
        self._loaded: set[int] = set()  # slots whose messages are in memory
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, publish: Publish) -> None:
        """Publish through `publish` what falls due: what is scheduled from now on, and what earlier processes left. Raises Unavailable."""
        self._due = DueQueue(publish)
        await self._pages.open()
        await self._load()
        self._tasks = [asyncio.create_task(self._due.run()), asyncio.create_task(self._look_after())]

    def dead_letter_to(self, keep: Keep) -> None:
        """Hand what the bus refuses for good to `keep`. Until this is called, and while it fails, such a message waits."""
        self._due.keep = keep

    async def close(self) -> None:
        """Publish nothing more; what is scheduled stays in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def schedule(self, message: Message) -> None:
        """Keep a message that has `deliver_at`; it is durable when this returns. Raises Unavailable."""
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
        """Slot by slot, read what is due soon, release what is done, and take over what other replicas have left."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._load()
                await self._release()
                await self._take_over()
            except PortError as error:
                _log.warning("scheduled messages will be looked after again: %s", error)
            except Exception:  # noqa: BLE001 - this task must outlive a page that it cannot read
                _log.exception("scheduled messages will be looked after again")

    async def _release(self) -> None:
        """Release the slots that are over and of which nothing waits here."""
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
        """Publish what another replica has left in the slot, and say whether the bus took all of it."""
        messages = [message async for message in self._pages.messages(replica, slot)]
        if await self._due.send(messages):
            return False
        _log.info("published %s scheduled messages that %s had left", len(messages), replica)
        return True


class DueQueue:
    """The scheduled messages in memory. Each is published when its time has come; what the bus refuses for good goes to `keep`."""

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
        """Count the messages among `slots` although they do not wait here."""
        slots = [slot_of(due_at(message)) for message in messages]
        self._busy.update(slots)
        try:
            yield
        finally:
            self._busy.subtract(slots)
            self._busy += Counter()  # forgets the slots whose count is zero

    async def run(self) -> None:
        """Publish what falls due, until cancelled."""
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
        """Publish at once, and return what the bus did not take and must be tried again."""
        outcomes = await asyncio.gather(*map(self._send, messages), return_exceptions=True)
        left = [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is not None]
        if left:
            why = next(outcome for outcome in outcomes if outcome is not None)
            _log.warning("%s scheduled messages wait on: the bus did not take them (%s)", len(left), why)
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
    """When the message is due; only messages that have `deliver_at` come here."""
    assert message.deliver_at is not None  # noqa: S101 - the bus schedules no others
    return message.deliver_at


def _soon(slot: int) -> bool:
    return end_of(slot) < datetime.now(UTC) + SOON


async def _no_bus(_messages: Sequence[Message]) -> None:
    raise Unavailable("Scheduled messages wait for the bus.")


async def _nobody(_message: Message, _why: str) -> None:
    raise Unavailable("Nobody keeps what was refused for good yet.")
