"""`python -m tests.benchmarks.telemetry`: what telemetry costs the bridge, in CPU of its process a request.

Bridges on the embedded runtime call the same bare function: without telemetry, with metrics, with one trace in a hundred recorded, with
both, and with every trace. Metrics leave every ten seconds, six times as often as by default, so that some rounds have an export. The
bridges are asked in turn, in rounds of another order each, so that what else the machine does falls on all alike. The figure is the median
of the rounds. `others` is the CPU that neither the bridge nor the client took, the function's among it: where it is much more in one round
than in another, the machine was not quiet, and the figure says little.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from aiohttp import web
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine
from tests.benchmarks.load import burst
from tests.benchmarks.process import Child, free_port, listening, machine_cpu, started
from tests.benchmarks.requester import Requester
from tests.benchmarks.subject import bare_function, bridge_settings

PATH = "/v1/automations/echo/requests"
AT_ONCE, WARM_UP, BEFORE = 32, 400, 128
OFF = "without telemetry"
#: How the bridges are told of the collector, whose address is put in.
METRICS, NO_METRICS, NO_TRACES = (
    {"OTEL_METRIC_EXPORT_INTERVAL": "10000"},
    {"OTEL_METRICS_EXPORTER": "none"},
    {"OTEL_TRACES_EXPORTER": "none"},
)
SHARE = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
SIDES: Mapping[str, Mapping[str, str]] = {
    OFF: {},
    "metrics": {**METRICS, **NO_TRACES},
    "1 % of the traces": {**NO_METRICS, **SHARE},
    "metrics and 1 % of the traces": {**METRICS, **SHARE},
    "every trace": {**NO_METRICS, "OTEL_TRACES_SAMPLER": "parentbased_always_on"},
}


@dataclass(frozen=True)
class Side:
    """One bridge, and who asks it."""

    bridge: Child
    requester: Requester

    async def spent(self, requests: int) -> tuple[float, float]:
        """Microseconds of CPU of the bridge a request, and seconds of CPU that neither it nor this process took, such as the function's.

        Some requests go before that are not measured: the caches of the processor are another bridge's until then.
        """
        await burst(self.requester.once, BEFORE, AT_ONCE)
        before, machine_before, here = self.bridge.cpu()["bridge"], machine_cpu(), _own_cpu()
        await burst(self.requester.once, requests, AT_ONCE)
        bridge = self.bridge.cpu()["bridge"] - before
        return bridge / requests * 1e6, machine_cpu() - machine_before - bridge - (_own_cpu() - here)


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system


@asynccontextmanager
async def side(folder: Path, function: str, environment: Mapping[str, str]) -> AsyncIterator[Side]:
    """A bridge that calls the function, while the context is open."""
    port = free_port()
    config = folder / "bridge.yaml"
    apps = {"function_apps": {"python-functions": {"url": f"http://{function}"}}}
    config.write_bytes(to_json(bridge_settings(folder, port) | apps))
    command: list[str | Path] = [sys.executable, "-m", "bridge", "up", "--config", config]
    async with started(command, folder, "bridge", environment=environment) as child:
        await listening(port, child)
        yield Side(child, Requester(f"127.0.0.1:{port}", PATH))


@asynccontextmanager
async def collector() -> AsyncIterator[str]:
    """The address of a collector that takes everything and keeps nothing."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    application = web.Application(client_max_size=64 * 2**20)
    for signal in ("traces", "metrics"):
        application.router.add_post(f"/v1/{signal}", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def measured(pairs: int, requests: int) -> dict[str, list[tuple[float, float]]]:
    """For each side what `Side.spent` said in each round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as place:
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(collector())
            _, function = await stack.enter_async_context(bare_function(Path(place)))
            sides: dict[str, Side] = {}
            for number, (name, environment) in enumerate(SIDES.items()):
                told = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, **environment} if environment else {}
                folder = Path(tempfile.mkdtemp(dir=place, prefix=f"{number}-"))
                sides[name] = await stack.enter_async_context(side(folder, function, told))
                await burst(sides[name].requester.once, WARM_UP, AT_ONCE)
            for pair in range(pairs):
                for name in random.Random(pair).sample(list(SIDES), len(SIDES)):
                    found[name].append(await sides[name].spent(requests))
    return found


def show(found: Mapping[str, list[tuple[float, float]]], console: Console) -> None:
    """A row for each side: its CPU a request, and the median over the pairs of what that is beside no telemetry."""
    table = Table("", "CPU a request, µs", "beside none", "others, s of CPU")
    for name, rounds in found.items():
        ratios = [own / bare for (own, _), (bare, _) in zip(rounds, found[OFF], strict=True)]
        table.add_row(
            name,
            f"{median(own for own, _ in rounds):.0f}",
            f"{(median(ratios) - 1) * 100:+.1f} %",
            f"{sum(each for _, each in rounds):.1f}",
        )
    console.print(table)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.telemetry", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--requests", type=int, default=1_000)
    asked = parser.parse_args()
    console = Console()
    console.print(machine.facts())
    show(asyncio.run(measured(asked.pairs, asked.requests)), console)


if __name__ == "__main__":
    main()
