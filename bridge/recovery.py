"""Resumes, at the start, the work that an earlier process of this replica had in progress when it ended.

The bus redelivers those messages, too. But it may deliver them to another replica, which cannot know that the process has ended and waits
until the time of the attempt is over. If bridge and sidecar were killed together, Redis and Service Bus also redeliver only after a minute.
Both is later than many deadlines. So the work is handled here, and also published: if this process ends as well, the message ensures that
the run ends and its reply is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from bridge import events
from bridge.context import Context
from bridge.errors import PortError
from bridge.index import Entry, Index
from bridge.ports import Ack, Delivery, Handler, Message
from bridge.run import Invocation, Run
from bridge.timeslices import TimeSlices

AT_ONCE = 64  #: calls that are taken up at a time; as many deliveries are handled beside them as ever
_AGAIN = 1.0  #: seconds until it is tried again when bus or store are away
_log = logging.getLogger("bridge")


class Recovery:
    """Publishes the work of HTTP targets whose attempts are lost, and passes it to `handle` as if the bus had delivered it."""

    def __init__(self, context: Context, index: Index, handle: Handler) -> None:
        self._context, self._index, self._handle = context, index, handle
        self._slices, self._slots = TimeSlices(), asyncio.Semaphore(AT_ONCE)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Resume lost work in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, patience: float) -> None:
        """Resume nothing more, give calls `patience` seconds, and cancel the rest, which the next process resumes."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=patience)
            self._task.cancel()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self.take_up()
            except PortError as fault:
                _log.warning("what an earlier process had in hand will be looked for again: %s", fault)
                await asyncio.sleep(_AGAIN)
            except Exception:  # noqa: BLE001 - the bus brings it again, only later
                _log.exception("what an earlier process had in hand could not be taken up")
                return
            else:
                return

    async def take_up(self) -> None:
        """Check all runs that have not reached their deadline, and return when all lost work is done. Raises Unavailable."""
        lost = [each async for each in self._lost()]
        if lost:
            _log.warning("calls that an earlier process had in hand, and that are taken up now: %s", len(lost))
        await asyncio.gather(*(self._call(run, invocation) for run, invocation in lost))

    async def _call(self, run: Run, invocation: Invocation) -> None:
        message = events.invoked(run, invocation, self._context.clock.now(), self._context.public_url)
        async with self._slots:
            await self._until(partial(self._published, message))
            await self._until(partial(self._handled, Delivery(f"{events.INVOCATIONS}/bridge", message)))

    async def _until(self, succeeds: Callable[[], Awaitable[bool]]) -> None:
        """Retry until it succeeds, or until this process stops."""
        while not self._stopping:
            if await succeeds():
                return
            await asyncio.sleep(_AGAIN)

    async def _handled(self, delivery: Delivery) -> bool:
        return await self._handle(delivery) is Ack.DONE

    async def _published(self, message: Message) -> bool:
        try:
            await self._context.bus.publish([message])
        except PortError as fault:
            _log.warning("work that is taken up cannot be published yet: %s", fault)
            return False
        return True

    async def _lost(self) -> AsyncIterator[tuple[Run, Invocation]]:
        """The calls that were in progress in a process that has ended. Raises Unavailable."""
        spans = await self._index.spans()
        # Before the page that the sweeper has noted all runs have ended.
        for (replica, span), noted in zip(spans.items(), await self._index.bookmarks(list(spans)), strict=True):
            first = max(noted if noted <= span.last else 0, span.first)
            async for _, entries in self._index.pages(replica, range(first, span.last + 1)):
                now = self._context.clock.now()
                for piece in self._slices.pieces([entry for entry in entries if entry.due is not None and entry.due > now]):
                    for each in await self._lost_among(piece):
                        yield each
                    await self._slices.rest()

    async def _lost_among(self, entries: Sequence[Entry]) -> list[tuple[Run, Invocation]]:
        runs = await self._context.runs.get_many([entry.id for entry in entries])
        return [
            (run, each) for run in runs if isinstance(run, Run) and not run.status.final for each in run.invocations if self._is_lost(each)
        ]

    def _is_lost(self, invocation: Invocation) -> bool:
        last = invocation.attempts[-1] if invocation.attempts else None
        if last is None or invocation.status.final or invocation.control.target.http is None:
            return False
        return last.outcome.open and last.until is not None and self._context.run_clock.is_over(last.process)
