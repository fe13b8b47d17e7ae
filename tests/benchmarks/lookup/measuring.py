"""Looks up in a real bridge and takes the time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge import events
from tests.benchmarks.connection import Pool
from tests.benchmarks.load import burst, percentile
from tests.benchmarks.lookup import directory
from tests.benchmarks.lookup.directory import Directory
from tests.benchmarks.process import Child, Ended, free_port, started
from tests.benchmarks.subject import bridge_settings

PROBE_EVERY = 0.005  #: seconds
PAGES = 20  #: of each list
STARTING = 120.0  #: seconds that a start may take


@dataclass(frozen=True)
class Spread:
    """Latencies in ms, and ms of CPU that the bridge's event loop spent on one of them: that is the same on a busy machine, nearly."""

    p50: float
    p99: float
    longest: float
    cpu: float = 0.0

    @classmethod
    def of(cls, latencies: list[float], cpu: float = 0.0) -> Spread:
        return cls(percentile(latencies, 50), percentile(latencies, 99), max(latencies), cpu / len(latencies))


@dataclass(frozen=True)
class Walk:
    """How long a walk through everything took, in seconds and in seconds of CPU, and how long others waited meanwhile, in ms."""

    seconds: float
    cpu: float
    p50: float
    p99: float
    longest: float


@dataclass
class Figures:
    """What was measured on one directory. Times in seconds, latencies in ms, memory in MB."""

    runs: int
    start: float = 0.0
    rss_at_start: float = 0.0
    rss: float = 0.0
    rss_at_most: float = 0.0
    gets: dict[str, Spread] = field(default_factory=dict)
    pages: dict[str, Spread] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    walks: dict[str, Walk] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON, which has no infinity."""
        walks = {name: asdict(walk) | ({} if math.isfinite(walk.seconds) else {"seconds": None}) for name, walk in self.walks.items()}
        return asdict(self) | {"walks": walks}


class Bridge:
    """A running bridge and a client of it."""

    def __init__(self, child: Child, port: int) -> None:
        self.child, self._pool, self._host = child, Pool("127.0.0.1", port), f"127.0.0.1:{port}"

    async def get(self, path: str) -> tuple[int, bytes]:
        return await self._pool.exchange(f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode())

    async def timed(self, path: str) -> tuple[float, Any]:
        """Milliseconds, and the value that came."""
        begun = time.perf_counter()
        status, body = await self.get(path)
        took = (time.perf_counter() - begun) * 1000
        if status not in (200, 202):
            raise Ended(f"GET {path}: {status} {body[:300].decode(errors='replace')}")
        return took, json.loads(body)

    def cpu(self) -> float:
        """Milliseconds of CPU that the thread of the event loop has spent so far."""
        return int(Path(f"/proc/{self.child.process.pid}/task/{self.child.process.pid}/schedstat").read_text().split()[0]) / 1e6

    def memory(self, name: str = "VmRSS") -> float:
        """MB of the process; VmHWM is the most it ever had."""
        lines = Path(f"/proc/{self.child.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@asynccontextmanager
async def running(made: Directory, sweep_every: str) -> AsyncIterator[tuple[Bridge, float]]:
    """`bridge up` on the directory, and the seconds from its start until it was ready."""
    port, work = free_port(), made.path.parent
    config = work / "bridge.yaml"
    settings = bridge_settings(work, port) | {"data_dir": str(made.path), "sweep_every": sweep_every}
    config.write_text(json.dumps(settings))
    begun = time.perf_counter()
    async with started([sys.executable, "-m", "bridge", "up", "--config", config], work, "bridge") as child:
        bridge = Bridge(child, port)
        while True:
            child.check()
            with contextlib.suppress(OSError):
                if (await bridge.get("/healthz/ready"))[0] == 200:
                    break
            if time.perf_counter() - begun > STARTING:
                raise Ended(f"the bridge is not ready:\n{child.last_lines()}")
            await asyncio.sleep(0.01)
        yield bridge, time.perf_counter() - begun


async def measure(made: Directory, allowed: float, tell: Callable[[str], None]) -> Figures:
    """Everything, on one directory; each walk is given so many seconds."""
    figures = Figures(made.runs)
    async with running(made, "1h") as (bridge, figures.start):
        figures.rss_at_start = bridge.memory()
        tell("looks up")
        for at_once, count in ((1, 1_000), (16, 4_000)):
            figures.gets[f"{at_once} at a time"] = await _gets(bridge, made, count, at_once)
        for name, query in _queries(made).items():
            tell(f"lists: {name}")
            figures.pages[name], figures.shown[name] = await _pages(bridge, query)
        tell("rests")
        figures.walks["nothing"] = await _meanwhile(bridge, lambda: asyncio.sleep(5), allowed)
        tell("audits")
        figures.walks["audit"] = await _meanwhile(bridge, lambda: _audit(bridge, made), allowed)
        figures.rss, figures.rss_at_most = bridge.memory(), bridge.memory("VmHWM")
    directory.forget_sweeps(made)
    for name in ("first sweep", "sweep after a restart"):
        tell(name)
        figures.walks[name] = await _sweep(made, allowed)
    return figures


async def _gets(bridge: Bridge, made: Directory, count: int, at_once: int) -> Spread:
    chosen = random.Random(1)

    async def look() -> None:
        name = made.id_of(chosen.randrange(made.runs))
        _, run = await bridge.timed(f"/v1/requests/{name}")
        assert run["correlationId"] == name

    await burst(look, 200, at_once)
    cpu = bridge.cpu()
    return Spread.of(await burst(look, count, at_once), bridge.cpu() - cpu)


def _queries(made: Directory) -> dict[str, str]:
    """Every kind of list, by name."""
    middle = quote(events.iso(made.created_at(made.runs // 2)), safe="")
    kinds = {
        "all": "/v1/requests?",
        "status that nothing has": "/v1/requests?status=Canceled&",
        "status that 1 % have": "/v1/requests?status=Failed&",
        "automation that nothing has": "/v1/requests?automation=nothing&",
        "since": f"/v1/requests?since={middle}&",
        "dead letters": "/v1/deadletters?",
        "dead letters, reason that nothing has": "/v1/deadletters?reason=nothing&",
        "dead letters, automation that nothing has": "/v1/deadletters?automation=nothing&",
    }
    return {f"{name}, {limit}": f"{path}limit={limit}" for name, path in kinds.items() for limit in (50, 200)}


async def _pages(bridge: Bridge, query: str) -> tuple[Spread, int]:
    """The first pages of a list, and how many entries they showed in all."""
    latencies, shown, cursor, cpu = [], 0, "", bridge.cpu()
    for _ in range(PAGES):
        took, page = await bridge.timed(query + (f"&cursor={cursor}" if cursor else ""))
        latencies.append(took)
        shown += len(page["items"])
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    return Spread.of(latencies, bridge.cpu() - cpu), shown


async def _audit(bridge: Bridge, made: Directory) -> None:
    _, report = await bridge.timed("/v1/audit")
    if report["accepted"] < made.runs or report["misfitCount"] > 2:
        raise Ended(f"the audit does not fit: {report}")


async def _sweep(made: Directory, allowed: float) -> Walk:
    """From the start of a bridge until the sweeper has found a run that was given up in the newest page."""
    name = f"late-{time.time_ns()}"
    await directory.add_late(made, name)
    async with running(made, "1s") as (bridge, _):

        async def swept() -> None:
            while (await bridge.timed(f"/v1/requests/{name}"))[1]["status"] != "TimedOut":
                await asyncio.sleep(0.1)

        return await _meanwhile(bridge, swept, allowed)


async def _meanwhile(bridge: Bridge, walk: Callable[[], Awaitable[None]], allowed: float) -> Walk:
    """How long a walk takes, and how long the bridge kept somebody else waiting meanwhile."""
    waits: list[float] = []
    over = asyncio.Event()

    async def probe() -> None:
        while not over.is_set():
            waits.append((await bridge.timed("/healthz/live"))[0])
            await asyncio.sleep(PROBE_EVERY)

    cpu, begun = bridge.cpu(), time.perf_counter()
    took = math.inf
    probing = asyncio.create_task(probe())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(allowed):
            await walk()
        took = time.perf_counter() - begun
    over.set()
    await probing
    spread = Spread.of(waits)
    return Walk(took, (bridge.cpu() - cpu) / 1000, spread.p50, spread.p99, spread.longest)
