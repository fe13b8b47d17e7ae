"""Ends the function of an invocation that the bridge has canceled, where its worker can. Most functions are done before it first asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.local.functions.bridgework import BridgeWork
from bridge.local.functions.reports import Reports

_PAUSE = 1.0  #: seconds between two questions, and before the first one


class CancelWatch:
    """Asks the bridge once a second whether the work is canceled, until `end`. If it is, `stop` is called once, and nothing asked again."""

    def __init__(self, reports: Reports, work: BridgeWork, stop: Callable[[], None] | None) -> None:
        self.canceled = False
        self._reports, self._work, self._stop = reports, work, stop
        self._asking: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._begin)

    def end(self) -> None:
        """Ask no more."""
        self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _begin(self) -> None:
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        while not await self._reports.canceled(self._work):  # noqa: ASYNC110 - the bridge does not call back
            await asyncio.sleep(_PAUSE)
        self.canceled = True
        if self._stop is not None:
            self._stop()
