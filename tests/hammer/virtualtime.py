"""An event loop whose time is not the machine's: when nothing is left to do, it jumps to what is next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bridge.errors import CallFailed
from bridge.hammer.faults import FaultScript
from bridge.ports import FunctionCall, FunctionResponse
from bridge.testing import NOON, json_answer

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing, and says by how much the time is later."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing is left to wait for")
        self.now += max(timeout, 0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a time of its own, from 0."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class VirtualClock:
    """Implements `ports.Clock` with the time of the running loop."""

    def now(self) -> datetime:
        return NOON + timedelta(seconds=asyncio.get_running_loop().time())

    def steady(self) -> datetime:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FaultyFunctions:
    """Implements `ports.Functions` with a script of faults, for any app and path. `calls` counts them."""

    def __init__(self, script: FaultScript) -> None:
        self._script, self.calls = script, 0

    def starting(self, _app: str) -> bool:
        return False

    def unserved(self, _app: str, _method: str, _path: str) -> str:
        return ""

    async def call(self, call: FunctionCall) -> FunctionResponse:
        self.calls += 1
        found, limit = self._script.next(asyncio.get_running_loop().time()), call.timeout.total_seconds()
        if found.status is None or found.after >= limit:
            await asyncio.sleep(limit)
            raise CallFailed("Timeout", "no answer", may_have_run=True)
        await asyncio.sleep(found.after)
        return json_answer({}, found.status)
