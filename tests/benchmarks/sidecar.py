"""`python -m tests.benchmarks.sidecar`: ways to ask a sidecar, and ways to be told by it, on one daprd with Redis.

Asking: over HTTP with a request for each call, over HTTP with shared requests (what the bridge does), and by Dapr's Python SDK (gRPC).
Being told: each event in a request of its own (what the bridge does), or many in one (bulk subscribe). Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bridge.local import daprd
from tests.benchmarks import machine, peerhome
from tests.benchmarks.measure import SCRATCH, Failed, order
from tests.benchmarks.ondapr import redis_and_plan
from tests.benchmarks.process import ROOT, Child, Ended, started

SDK = ROOT / ".cache" / "sdk-venv"
REQUIREMENTS = Path(__file__).parent / "peers" / "sdk.requirements.txt"
KINDS = {"publish": "publish", "save": "save with ETag", "get": "get", "bulk": "get 10 keys"}
WAYS = {"plain": "HTTP, one by one", "gathered": "HTTP, shared (the bridge)", "sdk": "Python SDK, gRPC"}
TOLD = {"single": "each event alone (the bridge)", "bulk": "bulk subscribe, 100 or 10 ms"}
COUNT, REPEATS, AT_ONCE, ALONE = 2000, 3, 64, 300
#: The sidecar of the bridge lets nobody use gRPC; here it is compared.
OPEN = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: bench}\nspec: {tracing: {samplingRate: '0'}}\n"


@dataclass(frozen=True)
class Cost:
    """Calls a second with many in flight, ms of one alone, and CPU ms a call."""

    rate: float
    p50: float
    p99: float
    client: float
    daprd: float

    def cells(self) -> list[str]:
        return [f"{self.rate:,.0f}", f"{self.p50:.1f}/{self.p99:.1f}", f"{self.client:.2f}", f"{self.daprd:.2f}"]


async def cost(words: Sequence[str], sidecar: daprd.Daprd, server: Child, folder: Path) -> Cost:
    """What one way costs. Raises Failed, Ended."""
    environment = sidecar.known_to_the_bridge()
    async with started(words, folder, "client", environment=environment) as client:
        await order(client, {"count": COUNT // 4, "at_once": AT_ONCE})
        before = client.cpu()["client"], server.cpu()["daprd"]
        bursts = [await order(client, {"count": COUNT, "at_once": AT_ONCE}) for _ in range(REPEATS)]
        after = client.cpu()["client"], server.cpu()["daprd"]
        alone = await order(client, {"count": ALONE, "at_once": 1})
    spent = [(now - then) * 1000 / (COUNT * REPEATS) for then, now in zip(before, after, strict=True)]
    return Cost(median(COUNT / burst["seconds"] for burst in bursts), alone["p50"], alone["p99"], *spent)


@asynccontextmanager
async def running(folder: Path, *, told: bool) -> AsyncIterator[tuple[daprd.Daprd, Child]]:
    """A sidecar that has everything allowed; `told`: it brings events to the app port. Raises Ended."""
    resources = folder / "resources"
    resources.mkdir(parents=True)
    for name in ("bus.yaml", "store.yaml"):
        (resources / name).write_text((ROOT / "components/redis" / name).read_text())
    (resources / "configuration.yaml").write_text(OPEN)
    async with redis_and_plan(folder, resources) as (sidecar, environment, _):
        words = [word for word in replace(sidecar, protocol="http").command() if told or not word.startswith("--app-port")]
        async with started(words, folder, "daprd", environment=environment) as child:
            yield sidecar, child


def command(way: str, kind: str, sidecar: daprd.Daprd) -> list[str]:
    """The client that makes one kind of call one way."""
    if way == "sdk":
        return [str(SDK / "bin" / "python"), "-m", "tests.benchmarks.peers.sdk", kind, f"127.0.0.1:{sidecar.ports['dapr-grpc-port']}"]
    return [sys.executable, "-m", "tests.benchmarks.overhttp", way, kind, sidecar.address]


async def asked(folder: Path, table: Table) -> None:
    """Every kind of call, every way."""
    async with running(folder, told=False) as (sidecar, child):
        for kind, title in KINDS.items():
            for way, name in WAYS.items():
                table.add_row(title, name, *(await cost(command(way, kind, sidecar), sidecar, child, folder)).cells())


async def told(folder: Path, table: Table) -> None:
    """Publish, and have it brought, both ways."""
    for way, name in TOLD.items():
        async with running(folder / way, told=True) as (sidecar, child):
            client = [sys.executable, "-m", "tests.benchmarks.brought", way, sidecar.address]
            table.add_row("publish until it arrives", name, *(await cost(client, sidecar, child, folder)).cells())


async def main(console: Console) -> int:
    """Measure, and show what came out."""
    table = Table("", "way", f"/s, {AT_ONCE} at once", "alone p50/p99 ms", "CPU ms client", "CPU ms daprd", box=None)
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="bench-", ignore_cleanup_errors=True) as scratch, console.status("measures"):
        try:
            await peerhome.prepare(SDK, REQUIREMENTS)
            await asked(Path(scratch) / "asked", table)
            await told(Path(scratch) / "told", table)
        except (peerhome.Missing, Failed, Ended) as fault:
            console.print(f"not measured: {fault}", markup=False)
            return 1
    console.print(table)
    for name, fact in machine.facts().items():
        console.print(f"{name}: {fact}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Console(width=120))))
