"""The part of a source that is in memory: the entries that come first in the order of delivery, never more than a bounded number."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from bridge.adapters.embedded.entry import Entry, Key, size

BYTES = 32 * 2**20  #: about how much memory one window takes
_BEFORE_ALL: Key = (-math.inf, 0)
_AFTER_ALL: Key = (math.inf, 0)


class Window:
    """Entries before the horizon are here (or handed out); those behind it are only in the database.

    A queue that fits into the window has no horizon, so that nothing is read back. `limit` is a number of entries.
    """

    def __init__(self, limit: int, budget: int = BYTES) -> None:
        self.limit, self.budget = limit, budget
        self.horizon = _BEFORE_ALL
        self.reading = False
        self._heap: list[tuple[float, int, Entry]] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, entry: Entry) -> None:
        """Take an entry that the database holds, unless it lies behind the horizon."""
        if entry.key < self.horizon:
            heapq.heappush(self._heap, (entry.due, entry.id, entry))
            self._bytes += size(entry)
            if len(self._heap) > 2 * self.limit or self._bytes > 2 * self.budget:
                self._trim()

    def pop(self, now: float) -> Entry | None:
        """The next entry that is due."""
        if not self._heap or self._heap[0][0] > now:
            return None
        entry = heapq.heappop(self._heap)[2]
        self._bytes -= size(entry)
        return entry

    @property
    def next_due(self) -> float:
        """When the first entry is due, in seconds since 1970; never, if there is none."""
        return self._heap[0][0] if self._heap else math.inf

    @property
    def runs_low(self) -> bool:
        """Whether it is time to read what comes behind the horizon."""
        few = len(self._heap) <= self.limit // 4 and self._bytes <= self.budget // 2
        return self.horizon < _AFTER_ALL and few and not self.reading

    def extend(self, entries: Sequence[Entry], *, last: bool) -> None:
        """Take what was read from the horizon on; `last` if there was no more."""
        self.reading = False
        if last:
            self.horizon = _AFTER_ALL
        elif entries:
            self.horizon = (entries[-1].due, entries[-1].id + 1)
        for entry in entries:
            self.add(entry)

    def _trim(self) -> None:
        # What is being read starts at the horizon as it was, so the horizon stays until that has come.
        if self.reading:
            return
        self._heap.sort()
        kept, used = 0, 0
        while kept < min(self.limit, len(self._heap)) and used < self.budget:
            used += size(self._heap[kept][2])
            kept += 1
        if kept < len(self._heap):
            self.horizon = self._heap[kept][:2]
            del self._heap[kept:]
            self._bytes = used
