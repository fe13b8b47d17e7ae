"""Whether a component behind the sidecar answers, so that nobody waits for one that is known to be away.

Only a check decides: a request of its own that changes nothing. A failed request of somebody else may be the fault of its key or message.
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
    """One component. While it is away its requests end at once, those under way too; whether they were carried out is not known.

    `lost` and `found` say in the log and in errors what has become of it.
    """

    def __init__(self, name: str, lost: str = "is away", found: str = "is there again") -> None:
        self._name, self._lost, self._found, self._why = name, lost, found, ""
        self._under_way: set[asyncio.Timeout] = set()
        self._checks, self._answered = itertools.count(1), 0

    @property
    def why(self) -> str:
        """Why it is away, empty if it is not."""
        return self._why

    @asynccontextmanager
    async def required(self) -> AsyncIterator[None]:
        """Encloses a request. Raises Unavailable if the component is away, or is found to be away before the request has ended."""
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
        """Learn from `request` whether the component is there. Of several checks at a time the one that began last decides."""
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
        """Treat it as away until a check succeeds."""
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
