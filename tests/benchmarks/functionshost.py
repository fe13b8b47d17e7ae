"""A local functions host with one app that is measured, and the calls that are made to it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.connection import Pool
from tests.benchmarks.process import Child, started
from tests.fuzz.memory import Memory

BODY = json.dumps({"name": "x" * 400}).encode()


@dataclass(frozen=True)
class Host:
    """A running host with one app, and the moment at which its process was started."""

    child: Child
    pool: Pool
    port: int
    began: float

    async def call(self, function: str) -> float:
        """Call a function; the seconds that took. Raises RuntimeError for another answer than 200."""
        head = (
            f"POST /api/{function} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
        )
        began = time.perf_counter()
        status, body = await self.pool.exchange(head.encode() + b"\r\n\r\n" + BODY)
        if status != 200:
            raise RuntimeError(f"{function} answered {status}: {body[:200]!r}\n{self.child.last_lines()}")
        return time.perf_counter() - began

    async def calls(self, function: str, count: int) -> list[float]:
        """One after the other."""
        return [await self.call(function) for _ in range(count)]

    def memory(self) -> float:
        """Resident megabytes of the worker."""
        pid = self.child.process.pid
        (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        looked = Memory()
        looked.look(int(worker))
        return looked.last


@asynccontextmanager
async def host(apps: Path, **environment: str) -> AsyncIterator[Host]:
    """A host of the app in `apps`, ready to be called."""
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [sys.executable, "-m", "bridge.local.functions", "--apps", apps, "--data-dir", folder, "--port", "0"]
        known, began = Path(folder) / "functions.json", time.perf_counter()
        async with started(command, Path(folder), "host", "worker", environment=environment) as child:
            while not known.exists():
                child.check()
                await asyncio.sleep(0.001)
            (entry,) = json.loads(known.read_text()).values()
            port = int(entry["url"].rpartition(":")[2])
            yield Host(child, Pool("127.0.0.1", port), port, began)


def others(busy: float, before: os.times_result, seconds: float) -> str:
    """How many cores were busy with other programs than ours and those that it started, on average."""
    after = os.times()
    ours = sum(after[:4]) - sum(before[:4])
    return f"{max(busy - ours, 0) / seconds:.1f} cores"
