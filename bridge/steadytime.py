"""A clock that nobody can set, for waiting within one process."""

from __future__ import annotations

import time


class SteadyTime:
    """The wall clock at the creation of this object plus the time that has passed since. Setting the wall clock does not change it."""

    def __init__(self) -> None:
        self._started = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._started + time.monotonic()

    @property
    def ahead(self) -> float:
        """By how many seconds the wall clock is ahead of this time. It changes when the clock is set, or when the machine sleeps."""
        return time.time() - self.now()
