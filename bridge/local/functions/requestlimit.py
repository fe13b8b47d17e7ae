"""How many requests of an app run at once, and how many may wait: `extensions.http` of host.json."""

from __future__ import annotations

import asyncio


class RequestLimit:
    """Bounds the requests of an app: `concurrent` run, and the others wait, up to `outstanding` in all. -1 is no limit."""

    def __init__(self, concurrent: int, outstanding: int) -> None:
        self.impossible = 0 in (concurrent, outstanding) or min(concurrent, outstanding) < -1  #: no request can run then, as in Azure
        self._places = asyncio.Semaphore(concurrent) if concurrent >= 0 else None
        self._largest = outstanding
        self._outstanding = 0

    @property
    def full(self) -> bool:
        """Whether the next request is refused."""
        return self._largest >= 0 and self._outstanding >= self._largest

    async def enter(self) -> None:
        """Take a place, after waiting for it. Each one that was taken is given back by `leave`."""
        self._outstanding += 1
        if self._places is not None:
            try:
                await self._places.acquire()
            except BaseException:
                self._outstanding -= 1
                raise

    def leave(self) -> None:
        """Give the place back."""
        self._outstanding -= 1
        if self._places is not None:
            self._places.release()
