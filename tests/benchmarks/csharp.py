"""`python -m tests.benchmarks.csharp`: a C# function in the local functions host, beside a bare loop over gRPC to the same worker.

The first answer after the start of a host; warm calls, one at a time; calls a second with 4 and 32 in flight, over HTTP and in the bare
loop, which sends the same invocation again and again with `grpc.aio`; and the memory of the host alone. Nothing is asserted: the last
column has the aim.
The app is the plain one of `shared/dotnet-functions`, run by what `BRIDGE_DOTNET` names, else by the tool's own `run`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.local.functions.rpc import dotnetapp, rpcworker
from tests.benchmarks import machine
from tests.benchmarks.functionshost import Host, host, others
from tests.benchmarks.grpcaioserver import GrpcAioServer
from tests.benchmarks.load import percentile
from tests.benchmarks.process import machine_cpu
from tests.fuzz.memory import Memory
from tests.local.functions import dotnet_kit, dotnet_rpc_kit

STARTS, WARM_UP, CALLS, ROUNDS, ROUND = 3, 300, 1000, 5, 1000
IN_FLIGHT = (4, 32)
FUNCTION = "ReadString"  #: takes a POST and gives its body back
SETTINGS = {"TICK_SCHEDULE": "0 0 0 1 1 *"}


async def first_answer(apps: Path, environment: dict[str, str]) -> str:
    """From the start of the host to the first answer, in the median, and the longest; in ms."""
    took = []
    for _ in range(STARTS):
        async with host(apps, **environment) as one:
            await one.call(FUNCTION)
            took.append((time.perf_counter() - one.began) * 1000)
    return f"{median(took):,.0f} (longest {max(took):,.0f})"


async def warm(one: Host) -> str:
    took = await one.calls(FUNCTION, CALLS)
    return f"{percentile(took, 50) * 1000:.2f}/{percentile(took, 99) * 1000:.1f}"


def cpu(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def rate(one: Host, in_flight: int) -> float:
    """Calls a second over HTTP, in the median of some rounds."""
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await asyncio.gather(*(one.calls(FUNCTION, ROUND // in_flight) for _ in range(in_flight)))
        rates.append(ROUND / (time.perf_counter() - began))
    return median(rates)


class BareLoop:
    """Sends one invocation to a worker again and again, over the stream of `grpc.aio` alone."""

    def __init__(self, app: dotnet_rpc_kit.WorkerAlone) -> None:
        self._server: Any = app.worker._server
        self._order = app.order(FUNCTION, {"request": dotnet_rpc_kit.posted("http://localhost/api/ReadString", b"x" * 400)})
        self._request = app.request(self._order)
        self._answers: dict[str, asyncio.Future[None]] = {}
        self._server.take_with(self._take)

    def _take(self, message: Any) -> None:
        if message.WhichOneof("content") == "invocation_response":
            self._answers.pop(message.invocation_response.invocation_id).set_result(None)

    async def calls(self, count: int) -> None:
        for _ in range(count):
            message = type(self._request)()
            message.CopyFrom(self._request)
            message.invocation_request.invocation_id = number = str(uuid.uuid4())
            answered = self._answers[number] = asyncio.get_running_loop().create_future()
            self._server.send(message)
            await answered

    async def rate(self, in_flight: int) -> float:
        rates = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await asyncio.gather(*(self.calls(ROUND // in_flight) for _ in range(in_flight)))
            rates.append(ROUND / (time.perf_counter() - began))
        return median(rates)


async def bare(folder: Path) -> tuple[dict[int, float], float]:
    """Calls a second of the bare loop, by the number in flight, and the milliseconds of processor time that a call takes here."""
    rpcworker.RpcServer = GrpcAioServer  # type: ignore[misc] # the loop stands for a host that is written with the usual library
    async with dotnet_rpc_kit.alone("plain", folder, **SETTINGS) as app:
        loop = BareLoop(app)
        await loop.calls(WARM_UP)
        used = cpu(os.getpid())
        rates = {in_flight: await loop.rate(in_flight) for in_flight in IN_FLIGHT}
        return rates, (cpu(os.getpid()) - used) * 1000 / (ROUNDS * ROUND * len(IN_FLIGHT))


def host_memory(one: Host) -> float:
    """Resident MiB of the host without its worker."""
    looked = Memory()
    looked.look(one.child.process.pid)
    return looked.last


async def measured(folder: Path, dotnet: str) -> tuple[Table, str]:
    """The table, and how much of the machine was busy with something else."""
    busy, began, ours = machine_cpu(), time.perf_counter(), os.times()
    dotnet_kit.copy_app("plain", folder / "apps" / "plain")
    environment = {dotnetapp.VARIABLE: dotnet, **SETTINGS}
    table = Table("what", "C#", "bare gRPC loop", "aim")
    table.add_row("first answer after the start, ms", await first_answer(folder / "apps", environment), "", "at most 1,000")
    alone, bare_cpu = await bare(folder)
    async with host(folder / "apps", **environment) as one:
        await one.calls(FUNCTION, WARM_UP)
        table.add_row("warm call, p50/p99 ms", await warm(one), "", "p50 at most 1.5")
        used = cpu(one.child.process.pid)
        for in_flight, bare_rate in alone.items():
            found = await rate(one, in_flight)
            share = f"at least 0.4 of bare: {found / bare_rate:.2f}"
            table.add_row(f"calls/s, {in_flight} in flight", f"{found:,.0f}", f"{bare_rate:,.0f}", share)
        host_cpu = (cpu(one.child.process.pid) - used) * 1000 / (ROUNDS * ROUND * len(IN_FLIGHT))
        table.add_row("CPU of the host a call, ms", f"{host_cpu:.2f}", f"{bare_cpu:.2f}", "")
        table.add_row("memory of the host alone, MiB", f"{host_memory(one):.0f}", "", "under 100")
    return table, others(machine_cpu() - busy, ours, time.perf_counter() - began)


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    dotnet = dotnet_kit.runner()
    if dotnet is None:
        console.print(f"skipped: {dotnet_kit.NEEDED}")
        return 0
    os.environ[dotnetapp.VARIABLE] = dotnet
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        table, elsewhere = asyncio.run(measured(Path(folder), dotnet))
        console.print(table)
        console.print(f"busy with other programs meanwhile: {elsewhere}", highlight=False)
    console.print("; ".join(f"{name}: {value}" for name, value in machine.facts().items()), highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
