"""The part of a queue that is kept in memory: the messages that are delivered next, in a bounded number."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from bridge.adapters.embedded.messages import Key, StoredMessage, size

BYTES = 32 * 2**20  #: about how much memory one window may take
_BEFORE_ALL: Key = (-math.inf, 0)
_AFTER_ALL: Key = (math.inf, 0)


class Window:
    """Messages before the horizon are in memory or in flight; those behind it are only in the database.

    A queue that fits into the window has no horizon, so nothing is read from the database. `limit` is a number of messages, `budget` is in
    bytes.
    """

    def __init__(self, limit: int, budget: int = BYTES) -> None:
        self.limit, self.budget = limit, budget
        self.horizon = _BEFORE_ALL
        self.reading = False
        self._heap: list[tuple[float, int, StoredMessage]] = []
        self._bytes = 0
        self._forgotten: set[int] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, stored: StoredMessage) -> None:
        """Add a message that the database holds, unless it lies behind the horizon."""
        if stored.key < self.horizon:
            heapq.heappush(self._heap, (stored.due, stored.id, stored))
            self._bytes += size(stored)
            if len(self._heap) > 2 * self.limit or self._bytes > 2 * self.budget:
                self._trim()

    def pop(self, now: float) -> StoredMessage | None:
        """Remove and return the next message that is due, or None."""
        while self._heap and self._heap[0][0] <= now:
            stored = heapq.heappop(self._heap)[2]
            self._bytes -= size(stored)
            if stored.id not in self._forgotten:
                return stored
            self._forgotten.discard(stored.id)
        return None

    def forget(self, key: Key) -> None:
        """Skip the message of this key, which was deleted from the database before its delivery."""
        if key < self.horizon:
            self._forgotten.add(key[1])

    @property
    def next_due(self) -> float:
        """When the first message is due, in seconds since 1970; infinity if there is none."""
        return self._heap[0][0] if self._heap else math.inf

    @property
    def runs_low(self) -> bool:
        """Whether it is time to read messages from behind the horizon."""
        few = len(self._heap) <= self.limit // 4 and self._bytes <= self.budget // 2
        return self.horizon < _AFTER_ALL and few and not self.reading

    def extend(self, messages: Sequence[StoredMessage], *, last: bool) -> None:
        """Add messages that were read from the horizon on; `last` if there are no more behind them."""
        self.reading = False
        if last:
            self.horizon = _AFTER_ALL
        elif messages:
            self.horizon = (messages[-1].due, messages[-1].id + 1)
        for stored in messages:
            self.add(stored)

    def _trim(self) -> None:
        # A read that is under way started at the present horizon, so the horizon must not move before it ends.
        if self.reading:
            return
        if self._forgotten:
            self._heap = [each for each in self._heap if each[1] not in self._forgotten]
            self._forgotten.clear()
            self._bytes = sum(size(stored) for _, _, stored in self._heap)
        self._heap.sort()
        kept, used = 0, 0
        while kept < min(self.limit, len(self._heap)) and used < self.budget:
            used += size(self._heap[kept][2])
            kept += 1
        if kept < len(self._heap):
            self.horizon = self._heap[kept][:2]
            del self._heap[kept:]
            self._bytes = used
