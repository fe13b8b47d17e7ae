"""Tracks whether a component behind the sidecar answers, so that no request waits for a component that is known to be down.

Only a check decides that: a separate request that changes nothing. If any other request fails, its key or message may be at fault.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bridge.errors import PortError, Unavailable

SLOW = 5.0  #: seconds after which a check without an answer has failed: the sidecar itself would wait longer
NO_ANSWER = "gives no answer"
_log = logging.getLogger("bridge.dapr")


class Availability:
    """The availability of one component. While it is down, its requests end at once, including those in progress.

    It is then unknown whether these had an effect. `lost` and `found` describe the two states in the log and in errors.
    """

    def __init__(self, name: str, lost: str = "is away", found: str = "is there again") -> None:
        self._name, self._lost, self._found, self._why = name, lost, found, ""
        self._under_way: set[asyncio.Timeout] = set()
        self._checks, self._answered = itertools.count(1), 0

    @property
    def why(self) -> str:
        """Why the component is down; empty if it is not."""
        return self._why

    @asynccontextmanager
    async def required(self) -> AsyncIterator[None]:
        """Encloses a request. Raises Unavailable if the component is down, or is found to be down before the request has ended."""
        if self._why:
            raise self._unavailable()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._under_way.add(limit)
                try:
                    yield
                finally:
                    self._under_way.discard(limit)
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._unavailable() from None

    async def check(self, request: Callable[[], Awaitable[object]]) -> None:
        """Use `request` to find out whether the component answers. If several checks overlap, the one that began last decides."""
        number = next(self._checks)
        try:
            async with asyncio.timeout(SLOW):
                await request()
        except TimeoutError:
            self._fail(number, f"{NO_ANSWER} within {SLOW:g} s")
        except PortError as error:
            self._fail(number, error.detail)
        else:
            self._answered = max(number, self._answered)
            if self._why:
                _log.info("the %s %s", self._name, self._found)
            self._why = ""

    def lose(self, why: str) -> None:
        """Treat the component as down until a check succeeds."""
        if not self._why:
            _log.warning("the %s %s: %s", self._name, self._lost, why)
        self._why = why
        now = asyncio.get_running_loop().time()
        for each in self._under_way:
            each.reschedule(now)

    def _fail(self, number: int, why: str) -> None:
        if number > self._answered:
            self.lose(why)

    def _unavailable(self) -> Unavailable:
        return Unavailable(f"The {self._name} {self._lost}: {self._why}")
