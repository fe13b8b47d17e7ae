"""Time slices let a long walk over many records share the event loop, as an operating system shares a processor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

#: About how long a walk keeps the event loop at a time, in seconds of CPU.
SLICE = 0.004
_FIRST, _LEAST, _MOST = 10, 5, 100  #: records in the first piece, the smallest and the largest
_LONGEST_REST = 0.1  #: seconds


class TimeSlices:
    """Cuts a walk over many records into pieces. The size of a piece depends on the time that the last ones took.

    `share` is the part of the time that the walk uses at most; it can be small for a walk that no caller waits for. Other tasks run between
    two pieces in any case.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share, self._size = share, _FIRST
        self._since = time.thread_time()  # CPU time, because waiting for an answer of the store blocks no other task

    def pieces(self, records: Sequence[T], wanted: Callable[[], int] = lambda: _MOST) -> Iterator[Sequence[T]]:
        """The records in pieces. The caller must call `rest` after each piece.

        `wanted` returns how many more records the caller needs; it is called before each piece.
        """
        start = 0
        while start < len(records):
            piece = records[start : start + min(self._size, wanted())]
            self._since = time.thread_time()
            yield piece
            start += len(piece)

    async def rest(self) -> None:
        """Let other tasks run, for as long as `share` requires."""
        spent = time.thread_time() - self._since
        if spent > SLICE:
            self._size = max(_LEAST, self._size // 2)
        elif spent < SLICE / 2:
            self._size = min(_MOST, self._size * 2)
        await asyncio.sleep(min(spent * (1 / self._share - 1), _LONGEST_REST))
