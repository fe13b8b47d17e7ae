"""An index that several replicas write to, and what can be read of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from bridge.index import Entry, Index
from bridge.testing import NOON, FakeClock, MemoryStore

KEEP = timedelta(days=7)


class World:
    """One store that several replicas write to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.a = self.replica("a")
        self.b = self.replica("b")

    def replica(self, name: str) -> Index:
        return Index(self.store, self.clock, name="index", replica=name, keep=KEEP)

    async def add(self, index: Index, *ids: int) -> None:
        """Entries whose ids are also the seconds of their time, all at once."""
        await asyncio.gather(*(index.add(Entry(created_at=NOON + timedelta(seconds=each), id=str(each))) for each in ids))


async def newest(index: Index, limit: int | None = None, cursor: str = "") -> tuple[list[int], str]:
    """The ids of one page and the cursor that continues."""
    seen: list[int] = []
    async for batch in index.newest(cursor):
        for place, entry in enumerate(batch.entries):
            seen.append(int(entry.id))
            if len(seen) == limit:
                return seen, batch.cursor(place).write()
    return seen, ""


async def pages(index: Index, replica: str, start: int = 0) -> list[tuple[int, list[Entry]]]:
    """The pages of a replica from that one on, oldest first."""
    span = (await index.spans()).get(replica)
    return [page async for page in index.pages(replica, range(start, span.last + 1))] if span else []


async def paged(index: Index, limit: int) -> AsyncIterator[list[int]]:
    cursor = ""
    while True:
        seen, cursor = await newest(index, limit, cursor)
        yield seen
        if not cursor:
            return
