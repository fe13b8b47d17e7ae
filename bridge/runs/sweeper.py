"""The sweeper ends runs whose deadline has passed without a timer, because a bus cannot schedule messages or has lost one."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from bridge import events, telemetry
from bridge.errors import LaterRelease, PortError
from bridge.index import Entry, Index
from bridge.index.pagedlog import Span
from bridge.ports import Bus, Clock
from bridge.run import Run
from bridge.runs import RunStore
from bridge.timeslices import TimeSlices

#: How long after its deadline the sweeper ends a run. Until then its timer may still be delivered.
GRACE = timedelta(seconds=10)
#: How long after its deadline a run that the index names may still appear in the store.
LATE_CREATION = timedelta(minutes=1)
_SHARE = 0.25  #: of the time of one core, because no caller waits for a sweep
_REMEMBER = 100  #: after so many pages a sweep stores how far it has come

_log = logging.getLogger("bridge")


class Sweeper:
    """Walks through the pages of the index, from the oldest that may contain an unfinished run.

    The index stores up to which page all runs have ended, so that the next process does not begin at the first page.
    """

    def __init__(self, index: Index, results: RunStore, bus: Bus, clock: Clock, *, every: timedelta) -> None:
        self._index, self._runs, self._bus, self._clock, self._every = index, results, bus, clock, every
        self._start: dict[str, int] = {}  # by replica: the last page in which all runs had ended; it may still grow
        self._ended: dict[str, set[int]] = {}  # further pages in which all runs have ended, and that grow no more
        self._kept: dict[str, int] = {}  # `_start` as it is stored
        self._slices = TimeSlices(_SHARE)

    async def run(self) -> None:
        """Sweep at regular intervals, for ever."""
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self.sweep()
            except PortError as fault:
                _log.warning("the sweep stopped and will be repeated: %s", fault)
            except Exception:  # noqa: BLE001 - the guard must outlive a page that it cannot read
                _log.exception("the sweep stopped and will be repeated")

    async def sweep(self) -> int:
        """Publish `automation.deadline` for every unfinished run past its deadline. Returns their number. Raises Unavailable."""
        spans = await self._index.spans()
        await self._recall([replica for replica in spans if replica not in self._kept])
        return sum([await self._sweep(replica, span) for replica, span in spans.items()])

    async def _recall(self, replicas: list[str]) -> None:
        for replica, page in zip(replicas, await self._index.bookmarks(replicas), strict=True):
            self._kept[replica] = self._start[replica] = page

    async def _sweep(self, replica: str, span: Span) -> int:
        # If a log ends before the page that was stored, it was started again.
        start = self._start[replica] if self._start[replica] <= span.last else 0
        ended = self._ended.setdefault(replica, set())
        numbers = [number for number in range(max(start, span.first), span.last + 1) if number not in ended]
        found, all_ended = 0, True
        async for number, entries in self._index.pages(replica, numbers):
            late, waiting = await self._look(entries, max(self._clock.now(), self._clock.steady()))
            found += late
            all_ended = all_ended and not late and not waiting
            if not late and not waiting and number < span.last:
                ended.add(number)
            if all_ended:
                self._start[replica] = number
                await self._keep(replica, _REMEMBER)
        await self._keep(replica, 1)
        self._ended[replica] = {number for number in ended if number > self._start[replica]}
        return found

    async def _keep(self, replica: str, pages: int) -> None:
        """Store up to which page all runs have ended, if that is far enough beyond the stored page."""
        if self._start[replica] - self._kept[replica] >= pages:
            await self._index.bookmark(replica, self._start[replica])
            self._kept[replica] = self._start[replica]

    async def _look(self, entries: list[Entry], now: datetime) -> tuple[int, bool]:
        """The number of overdue runs in a page, and whether others are not due yet or may still be created."""
        due = [entry for entry in entries if entry.due is not None and entry.due + GRACE < now]
        late, waiting = 0, len(due) < len(entries)
        for piece in self._slices.pieces(due):
            for entry, run in zip(piece, await self._runs.get_many([entry.id for entry in piece]), strict=True):
                if isinstance(run, LaterRelease):
                    waiting = True
                elif run is None:
                    waiting = waiting or entry.due is None or entry.due + LATE_CREATION > now
                elif not run.status.final and run.deadline + GRACE < self._runs.clock.now(run):
                    await self._end(run)
                    late += 1
                else:
                    waiting = waiting or not run.status.final
            await self._slices.rest()
        return late, waiting

    async def _end(self, run: Run) -> None:
        telemetry.step("sweep", automation=run.automation, level="warning", run=run.correlation_id)
        await self._bus.publish([events.deadline(run, self._clock.now())])
