"""`python -m tests.benchmarks.sidecarsize`: the memory and the CPU that a bridge and its sidecar need, for what their containers request.

A bridge with `components/redis`, and a sidecar whose garbage collector is told what the chart tells it, are asked with inputs of several
sizes as fast as they answer; the function gives each input back. Memory is the largest that the process had while such requests were under
way (VmHWM of proc(5)).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp
import yaml
from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine, ondapr
from tests.benchmarks.process import ROOT, Child, Ended
from tests.benchmarks.subject import HERE

CHART = ROOT / "deploy/chart"
MEASURED = ("bridge", "daprd")


@dataclass(frozen=True)
class Load:
    """Requests with one input of so many bytes each."""

    requests: int
    at_once: int
    size: int

    def __str__(self) -> str:
        return f"{self.size / 1000:,.1f} kB, {self.at_once} in flight" if self.size else "at rest"


LOADS = (Load(0, 1, 0), Load(3_000, 64, 500), Load(1_000, 64, 50_000), Load(400, 64, 200_000), Load(200, 64, 900_000))


@dataclass(frozen=True)
class Need:
    """What one process needed: cores, milliseconds of CPU a request and MiB of memory at most."""

    cores: float
    each: float
    memory: float


@dataclass(frozen=True)
class Result:
    """Requests a second, and what each process needed for them."""

    rate: float
    needs: Mapping[str, Need]


def catalogue(folder: Path) -> Path:
    """The automations of the benchmarks, for inputs of any size."""
    file = folder / "automations.yaml"
    file.write_text((HERE / "app/automations.yaml").read_text().replace(", maxLength: 10000", ""))
    return file


async def asked(http: aiohttp.ClientSession, url: str, load: Load) -> None:
    """Send the requests of a load. Raises Ended for one that did not succeed."""
    body, left = json.dumps({"text": "x" * load.size}).encode(), iter(range(load.requests))

    async def one_after_another() -> None:
        for _ in left:
            async with http.post(url, data=body, headers={"content-type": "application/json", "prefer": "wait=60"}) as answer:
                said = await answer.read()
                if answer.status != 200 or b'"Succeeded"' not in said:
                    raise Ended(f"a request with {load.size} bytes was answered with {answer.status}: {said[:300]!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(load.at_once):
            group.create_task(one_after_another())


async def measured(http: aiohttp.ClientSession, url: str, load: Load, children: Mapping[str, Child]) -> Result:
    """Ask, and look at both processes before and after."""
    for each in (each for child in children.values() for each in programs(child)):
        begin_anew(each)
    before, began = {name: child.cpu()[name] for name, child in children.items()}, perf_counter()
    await asked(http, url, load)
    took = perf_counter() - began
    used = {name: child.cpu()[name] - before[name] for name, child in children.items()}
    needs = {
        name: Need(used[name] / took, used[name] * 1000 / max(load.requests, 1), max(map(largest_memory, programs(child))))
        for name, child in children.items()
    }
    return Result(load.requests / took, needs)


def programs(child: Child) -> list[int]:
    """The process and those it has started: a sidecar runs below a program that ends it when its bridge is gone."""
    pid = child.process.pid
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def begin_anew(process_id: int) -> None:
    """Forget how much memory the process has had (clear_refs of proc(5))."""
    Path(f"/proc/{process_id}/clear_refs").write_text("5")


def largest_memory(process_id: int) -> float:
    """The most MiB that the process had in memory since that was last asked to begin anew."""
    (line,) = [each for each in Path(f"/proc/{process_id}/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


async def measure(folder: Path, doing: Callable[[Load], None]) -> dict[Load, Result]:
    """What each load needs. `doing` hears which is under way."""
    async with AsyncExitStack() as stack:
        subject = await stack.enter_async_context(ondapr.bridge(folder, "once", {"catalogue": str(catalogue(folder))}))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        children = {child.roles[0]: child for child in subject.servers if child.roles[0] in MEASURED}
        url = f"http://{subject.client[-2]}{subject.client[-1]}"
        found: dict[Load, Result] = {}
        for load in LOADS:
            doing(load)
            found[load] = await measured(http, url, load, children)
            await asyncio.sleep(1)
        return found


def show(found: Mapping[Load, Result], console: Console) -> None:
    """A row for each load."""
    table = Table("inputs", "requests/s", *(f"{name}: cores, ms a request, MiB" for name in MEASURED))
    for load, result in found.items():
        needs = (result.needs[name] for name in MEASURED)
        table.add_row(
            str(load),
            f"{result.rate:,.0f}" if load.requests else "",
            *(f"{each.cores:.2f}, {each.each:.2f}, {each.memory:.0f}" for each in needs),
        )
    console.print(table)


def garbage_collection() -> dict[str, str]:
    """What the chart tells the garbage collector of the sidecar."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    (percent,) = re.findall('"GOGC" "([0-9]+)"', (CHART / "templates/deployment.yaml").read_text())
    return {"GOGC": percent, "GOMEMLIMIT": values["sidecar"]["goMemoryLimit"]}


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sidecarsize", description=__doc__)
    parser.add_argument("--limit", help="another GOMEMLIMIT than that of the chart, such as 800MiB")
    limit = parser.parse_args().limit
    console = Console(width=None if sys.stdout.isatty() else 140)
    told = garbage_collection() | ({"GOMEMLIMIT": limit} if limit else {})
    os.environ.update(told)  # which the sidecar gets as it is
    with tempfile.TemporaryDirectory(prefix="size-") as folder:
        show(asyncio.run(measure(Path(folder), lambda load: console.print(f"{load} …"))), console)
    console.print("; ".join(f"{name}: {value}" for name, value in {**told, **machine.facts()}.items()), highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
