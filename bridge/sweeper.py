"""Ends what is past its deadline although no timer came: the guard for buses that cannot schedule, and for events that got lost."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from bridge import events, telemetry
from bridge.errors import PortError
from bridge.index import Entry, Index
from bridge.ports import Bus, Clock
from bridge.results import Results

#: How long after its deadline a run counts as forgotten; its timer is on the way until then.
GRACE = timedelta(seconds=10)

_log = logging.getLogger("bridge")


class Sweeper:
    """Walks the index from the oldest page that may hold an unfinished run."""

    def __init__(self, index: Index, results: Results, bus: Bus, clock: Clock, *, every: timedelta) -> None:
        self._index, self._results, self._bus, self._clock, self._every = index, results, bus, clock, every
        self._start: dict[str, int] = {}  # by replica: the last page in which all runs had ended; it may still grow

    async def run(self) -> None:
        """Sweep again and again."""
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self.sweep()
            except PortError as fault:
                _log.warning("the sweep stopped and will be repeated: %s", fault)
            except Exception:  # noqa: BLE001 - the guard must outlive a page that it cannot read
                _log.exception("the sweep stopped and will be repeated")

    async def sweep(self) -> int:
        """Publish `automation.deadline` for every unfinished run whose deadline has passed; how many there were. Raises Unavailable."""
        found = 0
        for replica in await self._index.replicas():
            start, all_ended = self._start.get(replica, 0), True
            async for number, entries in self._index.pages(replica, start):
                late, waiting = await self._look(entries, self._clock.now())
                found += late
                all_ended = all_ended and not late and not waiting
                if all_ended:
                    self._start[replica] = number
        return found

    async def _look(self, entries: list[Entry], now: datetime) -> tuple[int, bool]:
        """How many runs of a page are late, and whether others have not reached their deadline yet."""
        due = [entry for entry in entries if entry.due is not None and entry.due + GRACE < now]
        late = 0
        for entry, run in zip(due, await self._results.find_many([entry.id for entry in due]), strict=True):
            if run is not None and not run.status.final and run.deadline + GRACE < now:
                telemetry.step("sweep", automation=run.automation, level="warning", run=entry.id)
                await self._bus.publish([events.deadline(run, now)])
                late += 1
        return late, len(due) < len(entries)
