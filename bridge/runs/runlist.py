"""Lists of runs, newest first, page by page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UnsetType

from bridge.auth import Caller
from bridge.errors import LaterRelease
from bridge.index import Batch, Entry, Index
from bridge.index.pagedlog import PAGE
from bridge.run import Run, Status
from bridge.runs import RunStore
from bridge.timeslices import TimeSlices

#: About how many bytes of inputs and outputs one page holds, unless a single run has more.
PAGE_BYTES = 8 * 2**20
#: How long one page of a list may take, in seconds. Then the page ends with the runs that it has, and its cursor continues there.
BUDGET = 0.02


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The conditions that runs of a list must meet."""

    status: Status | None = None
    automation: str = ""
    since: datetime | None = None
    limit: int = 50

    def may_fit(self, entry: Entry) -> bool:
        """Whether the run of this index entry may meet the conditions, as far as the entry shows."""
        return not self.automation or entry.subject == self.automation

    def fits(self, run: Run) -> bool:
        """Whether a run whose entry may fit meets the conditions."""
        return self.status is None or run.status is self.status

    def ends_before(self, entry: Entry) -> bool:
        """Whether this entry and all later ones are too old for the list."""
        return self.since is not None and entry.created_at < self.since


class RunList:
    """Lists runs. It reads the index, and only the runs whose entries may fit."""

    def __init__(self, index: Index, runs: RunStore) -> None:
        self._index, self._runs = index, runs

    async def page(self, wanted: RunFilter, cursor: str, caller: Caller) -> tuple[list[Run], str]:
        """The newest runs that the caller may read, and the cursor of the next page (empty at the end). Raises Malformed, Unavailable.

        A page may hold fewer than `limit` runs and still have a cursor, because a filter looks for a bounded time and a page has a bounded
        size. A page of small runs without a filter is always full.
        """
        page = _PageOfRuns(wanted, caller)
        slices = TimeSlices()
        async for batch in self._index.newest(cursor):
            page.begin(batch)
            places, ends = _chosen(batch, wanted)
            for piece in slices.pieces(places, page.wanted):
                page.add(piece, await self._runs.get_many([batch.entries[place].id for place in piece]))
                if page.is_over:
                    return page.runs, batch.cursor(page.place).write()
                await slices.rest()
            if ends:
                break
            page.move(len(batch.entries) - 1)
            if page.is_over:
                return page.runs, batch.cursor(page.place).write()
            await asyncio.sleep(0)
        return page.runs, ""


def _chosen(batch: Batch, wanted: RunFilter) -> tuple[list[int], bool]:
    """The indexes of the entries in the batch whose runs may fit, and whether the list ends within the batch."""
    places: list[int] = []
    for place, entry in enumerate(batch.entries):
        if wanted.ends_before(entry):
            return places, True
        if wanted.may_fit(entry):
            places.append(place)
    return places, False


class _PageOfRuns:
    """A page while it is being filled. `place` is the index of the last examined entry of the batch."""

    def __init__(self, wanted: RunFilter, caller: Caller) -> None:
        self._wanted, self._caller = wanted, caller
        self._shown: dict[str, Run] = {}
        self._until = time.perf_counter() + BUDGET
        self._entries: Sequence[Entry] = ()
        self._looked_at = self._bytes = 0
        self.place = -1

    @property
    def runs(self) -> list[Run]:
        """The runs of the page."""
        return list(self._shown.values())

    def wanted(self) -> int:
        """How many more entries to examine: as few as may fill the page, or many if few have fitted so far."""
        return PAGE if self._wanted.status else self._wanted.limit - len(self._shown)

    @property
    def is_full(self) -> bool:
        """Whether the page has as many runs as were asked for, or as many bytes as it may have."""
        return len(self._shown) >= self._wanted.limit or self._bytes >= PAGE_BYTES

    @property
    def is_over(self) -> bool:
        """Whether the page is full, or its time is over. At least as many entries as the page may hold are examined in any case."""
        return self.is_full or (self._looked_at >= self._wanted.limit and time.perf_counter() >= self._until)

    def begin(self, batch: Batch) -> None:
        """Continue with the next batch of entries."""
        self._entries, self.place = batch.entries, -1

    def move(self, place: int) -> None:
        """Note that all entries up to this place have been examined."""
        self._looked_at += place - self.place
        self.place = place

    def add(self, places: Sequence[int], runs: Sequence[Run | LaterRelease | None]) -> None:
        """Add the runs of the entries at these places that fit, until the page is full. Unreadable ones are left out."""
        for place, run in zip(places, runs, strict=True):
            self.move(place)
            entry = self._entries[place]
            # If the store has another run or none, the creation of this one failed, or the entry belongs to an earlier run of this id.
            if isinstance(run, Run) and run.created_at == entry.created_at and self._wanted.fits(run) and self._caller.may_read(run):
                self._shown[entry.id] = run
                self._bytes += _size(run)
                if self.is_full:
                    return


def _size(run: Run) -> int:
    """The approximate size of a run in an answer, in bytes."""
    outputs = (each.output_json for each in run.invocations)
    return sum(len(bytes(each)) for each in (run.input_json, *outputs) if not isinstance(each, UnsetType))
