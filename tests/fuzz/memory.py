"""The memory of a process, looked at while it works."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.5  #: seconds between two looks
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Memory:
    """Resident megabytes, in the order they were read."""

    seen: list[float] = field(default_factory=list)

    def look(self, process_id: int) -> None:
        """Raises OSError if there is no such process."""
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
        if pages:  # none are left to a process that has ended and is still listed
            self.seen.append(pages * PAGE / 2**20)

    @property
    def warm(self) -> float:
        """After a third of the time, when caches are filled and everything is imported; 0 if nothing was seen."""
        return self.seen[len(self.seen) // 3] if self.seen else 0.0

    @property
    def last(self) -> float:
        return self.seen[-1] if self.seen else 0.0

    def __str__(self) -> str:
        return f"memory {self.warm:.0f} → {self.last:.0f} MB"


@asynccontextmanager
async def watched(process_id: int) -> AsyncIterator[Memory]:
    """Looks at the process for as long as this is open. Sees nothing where there is no /proc."""
    memory = Memory()

    async def look() -> None:
        with contextlib.suppress(OSError):
            while True:
                memory.look(process_id)
                await asyncio.sleep(EVERY)

    looking = asyncio.create_task(look())
    try:
        yield memory
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
