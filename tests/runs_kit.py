"""What the tests of stored runs share: a store, processes that keep runs in it, and changes in short form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bridge import lifecycle
from bridge import run as runs
from bridge.index import Index
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Succeeded
from bridge.run import Run
from bridge.runs import RunStore
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import MINUTE, SECOND

KEY = "run/order-1"


class World:
    """A store, and processes that keep runs in it."""

    def __init__(self, *, shared: bool = False) -> None:
        self.clock = FakeClock()
        self.store, self.bus = MemoryStore(self.clock, shared=shared), MemoryBus(self.clock)

    def process(self, name: str = "a", remember: int = 10**6) -> RunStore:
        index = Index(self.store, self.clock, name="index", replica=name, keep=timedelta(days=90))
        return RunStore(self.store, self.bus, index, self.clock, remember=remember)

    async def stored(self, key: str = KEY) -> Run | None:
        found = await self.store.get(key)
        return runs.load(found.value) if found else None


def percent(value: float) -> Callable[[Run], Run]:
    return lambda run: lifecycle.report(run, "main", percent=value, message=None, now=NOON + SECOND)


def succeed(run: Run) -> Run:
    return lifecycle.finish(run, "main", AttemptResult(-1, Succeeded.of(7)), Causation("result-1", NOON + SECOND, MINUTE))


def shown(run: Run) -> float | None:
    return run.progress.percent if run.progress else None
