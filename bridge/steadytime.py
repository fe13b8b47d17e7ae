"""Time that nobody can set: for what waits in one process."""

from __future__ import annotations

import time


class SteadyTime:
    """The wall clock as it was when this object was made, plus the time that has passed since. Nobody can set it."""

    def __init__(self) -> None:
        self._started = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._started + time.monotonic()

    @property
    def ahead(self) -> float:
        """By how many seconds the wall clock is ahead of this time. It changes when somebody sets the clock, or the machine sleeps."""
        return time.time() - self.now()
