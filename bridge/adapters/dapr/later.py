"""Messages for later on a bus that cannot schedule: kept in the store until they are due, then published.

To publish them at once and put each off until it is due would either go round in a hot loop or fill the sidecar's workers with messages
that wait. The replica that was given a message publishes it in time; it reads the pages of a slot a minute before, so that memory holds
only what is due soon. If the replica ends, another one finds the pages half a minute after they fell due. So a message may be published
twice, but never not at all; what the bus refuses for good by then is handed over, to be kept for somebody to look at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.adapters.dapr.due import Due, Keep, Publish, due_at
from bridge.adapters.dapr.gathering import Gathering
from bridge.adapters.dapr.held import SLOT, Held, end_of, slot_of
from bridge.errors import PortError, Unavailable
from bridge.ports import Message

SOON = timedelta(minutes=1)  #: before a slot's end: its messages are in memory from then on
GRACE = timedelta(seconds=30)  #: after a slot's end: what another replica has not released by then is taken over
_log = logging.getLogger("bridge.dapr")


class Later:
    """Keeps messages until they are due. `every` is how often, in seconds, it is looked for slots that begin or are over."""

    def __init__(self, held: Held, *, every: float = SLOT) -> None:
        self._held, self._every = held, every
        self._due = Due(_nowhere)
        self._keeping: Gathering[Message, None] = Gathering(self._keep, size=lambda each: len(each.body) + 1024)
        self._loaded: set[int] = set()  # slots whose messages are in memory
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, publish: Publish) -> None:
        """Publish through `publish` what falls due: what is held from now on, and what earlier processes have left. Raises Unavailable."""
        self._due = Due(publish)
        await self._held.open()
        await self._load()
        self._tasks = [asyncio.create_task(self._due.run()), asyncio.create_task(self._look_after())]

    def give_up_to(self, keep: Keep) -> None:
        """Hand what the bus refuses for good to `keep`. Until this is called, and while it fails, such a message waits."""
        self._due.keep = keep

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
            by_slot.setdefault(slot_of(due_at(message)), []).append(message)
        # Of a slot that is new no page exists yet, so there is nothing to read.
        self._loaded |= {slot for slot in by_slot if _soon(slot)} - set(self._held.own.slots)
        with self._due.busy_with(messages):
            await self._held.name(frozenset(by_slot))
            outcomes = await asyncio.gather(*(self._kept(slot, each) for slot, each in by_slot.items()))
        of_slot = dict(zip(by_slot, outcomes, strict=True))
        return [of_slot[slot_of(due_at(message))] for message in messages]

    async def _kept(self, slot: int, messages: Sequence[Message]) -> PortError | None:
        try:
            await self._held.keep(slot, messages)
        except PortError as fault:
            return fault
        if slot in self._loaded:
            for message in messages:
                self._due.add(message)
        return None

    async def _load(self) -> None:
        """Read the slots that are due soon into memory."""
        for slot in self._held.own.slots:
            if slot in self._loaded or not _soon(slot):
                continue
            # From here on what is kept for the slot goes to memory at once; what was kept before is on the pages.
            self._loaded.add(slot)
            try:
                messages = [message async for message in self._held.messages(self._held.own.replica, slot)]
            except BaseException:
                self._loaded.discard(slot)
                raise
            for message in messages:
                self._due.add(message)

    async def _look_after(self) -> None:
        """Slot by slot, read what is due soon, let go of what is done, and find what other replicas have left."""
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
        now, waiting = datetime.now(UTC), self._due.slots
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
        if await self._due.send(messages):
            return False
        _log.info("took over %s messages for later from %s", len(messages), replica)
        return True


async def _nowhere(_: Sequence[Message]) -> None:
    raise Unavailable("Messages for later are not published yet.")


def _soon(slot: int) -> bool:
    return end_of(slot) < datetime.now(UTC) + SOON
