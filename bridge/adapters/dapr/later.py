"""Messages for later on a bus that cannot schedule: kept in the store until they are due, then published.

To publish them at once and put each off until it is due would either go round in a hot loop or fill the sidecar's workers with messages
that wait. The replica that was given a message publishes it in time; it reads the pages of a slot a minute before, so that memory holds
only what is due soon. If the replica ends, another one finds the pages half a minute after they fell due. So a message may be published
twice, but never not at all.
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

from bridge.adapters.dapr.gathering import Gathering
from bridge.adapters.dapr.held import SLOT, Held, end_of, slot_of
from bridge.errors import PortError, Unavailable, Undeliverable
from bridge.ports import Message

SOON = timedelta(minutes=1)  #: before a slot's end: its messages are held in memory from then on
GRACE = timedelta(seconds=30)  #: after a slot's end: what another replica has not released by then is taken over
_AT_ONCE = 100  #: messages that are published together
_AGAIN = 1.0  #: seconds until what the bus or the store refused is tried again
_log = logging.getLogger("bridge.dapr")

Publish = Callable[[Sequence[Message]], Awaitable[None]]


class Later:
    """Keeps messages until they are due. `every` is how often, in seconds, it is looked for slots that are over."""

    def __init__(self, held: Held, *, every: float = SLOT) -> None:
        self._held, self._every = held, every
        self._publish: Publish = _nowhere
        self._keeping: Gathering[Message, None] = Gathering(self._keep, size=lambda each: len(each.body) + 1024)
        self._due: list[tuple[datetime, int, Message]] = []
        self._loaded: set[int] = set()  # slots whose messages are in memory
        self._busy: Counter[int] = Counter()  # by slot: messages that are being kept or published
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, publish: Publish) -> None:
        """Publish through `publish` what falls due: what is held from now on, and what earlier processes have left. Raises Unavailable."""
        self._publish = publish
        await self._held.open()
        await self._load()
        self._tasks = [asyncio.create_task(self._send_due()), asyncio.create_task(self._look_after())]

    async def close(self) -> None:
        """Publish nothing more; what is held stays in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hold(self, message: Message) -> None:
        """Keep a message that has `deliver_at`; durable when this returns. Raises Unavailable."""
        await self._keeping.ask(message)

    async def _keep(self, messages: Sequence[Message]) -> list[PortError | None]:
        by_slot: dict[int, list[Message]] = {}
        for message in messages:
            by_slot.setdefault(slot_of(_due_at(message)), []).append(message)
        # Of a slot that is new no page exists yet, so there is nothing to read.
        self._loaded |= {slot for slot in by_slot if _soon(slot)} - set(self._held.own.slots)
        with self._busy_with(messages):
            await self._held.name(frozenset(by_slot))
            outcomes = await asyncio.gather(*(self._kept(slot, each) for slot, each in by_slot.items()))
        of_slot = dict(zip(by_slot, outcomes, strict=True))
        return [of_slot[slot_of(_due_at(message))] for message in messages]

    async def _kept(self, slot: int, messages: Sequence[Message]) -> PortError | None:
        try:
            await self._held.keep(slot, messages)
        except PortError as fault:
            return fault
        if slot in self._loaded:
            for message in messages:
                self._remember(message)
        return None

    async def _load(self) -> None:
        """Read the slots that are due soon into memory."""
        for slot in self._held.own.slots:
            if slot in self._loaded or not _soon(slot):
                continue
            # From here on what is kept for the slot is remembered at once; what was kept before is on the pages.
            self._loaded.add(slot)
            try:
                messages = [message async for message in self._held.messages(self._held.own.replica, slot)]
            except BaseException:
                self._loaded.discard(slot)
                raise
            for message in messages:
                self._remember(message)

    def _remember(self, message: Message) -> None:
        heapq.heappush(self._due, (_due_at(message), next(self._numbers), message))
        self._changed.set()

    @contextlib.contextmanager
    def _busy_with(self, messages: Sequence[Message]) -> Iterator[None]:
        slots = [slot_of(_due_at(message)) for message in messages]
        self._busy.update(slots)
        try:
            yield
        finally:
            self._busy.subtract(slots)
            self._busy += Counter()  # forgets the slots that came to nothing

    async def _send_due(self) -> None:
        """Publish each message when its time has come."""
        while True:
            self._changed.clear()
            pause = (self._due[0][0] - datetime.now(UTC)).total_seconds() if self._due else SLOT
            if pause > 0:
                await _either(self._changed, pause)
                continue
            taken = self._take_due()
            with self._busy_with(taken):
                left = await self._sent(taken)
                for message in left:
                    self._remember(message)
            if left:
                await asyncio.sleep(_AGAIN)

    def _take_due(self) -> list[Message]:
        now, taken = datetime.now(UTC), list[Message]()
        while self._due and self._due[0][0] <= now and len(taken) < _AT_ONCE:
            taken.append(heapq.heappop(self._due)[2])
        return taken

    async def _look_after(self) -> None:
        """Slot by slot, let go of what is done and find what other replicas have left."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._load()
                await self._let_go()
                await self._take_over()
            except PortError as fault:
                _log.warning("messages for later will be looked after again: %s", fault)
            except Exception:  # noqa: BLE001 - the guard must outlive a page that it cannot read
                _log.exception("messages for later will be looked after again")

    async def _let_go(self) -> None:
        """Slots that are over, and of which nothing waits here, are done."""
        now = datetime.now(UTC)
        waiting = {slot_of(due) for due, _, _ in self._due} | set(self._busy)
        done = {slot for slot in self._loaded if end_of(slot) < now and slot not in waiting}
        await self._held.release(lambda slot: slot in done)
        self._loaded -= done

    async def _take_over(self) -> None:
        now = datetime.now(UTC)
        for record in await self._held.others():
            overdue = [slot for slot in record.slots if end_of(slot) + GRACE < now]
            done = [slot for slot in overdue if await self._taken_over(record.replica, slot)]
            if done:
                await self._held.release_of(record, frozenset(done))

    async def _taken_over(self, replica: str, slot: int) -> bool:
        messages = [message async for message in self._held.messages(replica, slot)]
        if await self._sent(messages):
            return False
        _log.info("took over %s messages for later from %s", len(messages), replica)
        return True

    async def _sent(self, messages: Sequence[Message]) -> list[Message]:
        """Publish what has been held; what the bus did not take and must be tried again."""
        outcomes = await asyncio.gather(
            *(self._publish([replace(message, deliver_at=None)]) for message in messages), return_exceptions=True
        )
        left = []
        for message, outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, Undeliverable):
                _log.error("%s: a message for later was refused for good: %s", message.topic, outcome)
            elif isinstance(outcome, BaseException):
                left.append(message)
        if left:
            _log.warning("%s messages for later wait on: the bus did not take them", len(left))
        return left


async def _nowhere(_: Sequence[Message]) -> None:
    raise Unavailable("Messages for later are not published yet.")


def _soon(slot: int) -> bool:
    return end_of(slot) < datetime.now(UTC) + SOON


def _due_at(message: Message) -> datetime:
    assert message.deliver_at is not None  # noqa: S101 - only such messages are held
    return message.deliver_at


async def _either(changed: asyncio.Event, seconds: float) -> None:
    """Wait until there may be something to do."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
