"""The rows on a real sidecar: daprd with `components/redis` on a Redis that syncs each write, and the bridge or the bare handler."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import aiohttp

from bridge.errors import ConfigurationError
from bridge.local import daprd
from tests.benchmarks import spent
from tests.benchmarks.process import ROOT, Child, Ended, free_port, listening, started
from tests.benchmarks.subject import STARTING, Subject, bare_function, bridge_settings

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
TARGET = "/v1/automations/echo/requests"


@dataclass(frozen=True)
class Beside:
    """A sidecar, the Redis behind it, and where the function is."""

    sidecar: daprd.Daprd
    redis_port: int
    servers: Sequence[Child]
    function: str


@asynccontextmanager
async def redis_and_plan(folder: Path, resources: Path) -> AsyncIterator[tuple[daprd.Daprd, dict[str, str], Child]]:
    """A sidecar to be started, its environment, and the Redis it will use. Raises Ended if daprd or Redis is not on this machine."""
    if shutil.which("redis-server") is None:
        raise Ended("redis-server is not on PATH; on Debian and Ubuntu: apt-get install redis-server")
    try:
        sidecar = daprd.Daprd.plan(daprd.find(None), resources, folder)
    except ConfigurationError as fault:
        raise Ended(str(fault)) from None
    port = free_port()
    command: list[str | Path] = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, *DURABLE]
    async with started(command, folder, "redis") as redis:
        await listening(port, redis)
        yield sidecar, sidecar.environment({"REDIS_HOST": f"127.0.0.1:{port}"}), redis


@asynccontextmanager
async def _beside(folder: Path, protocol: str) -> AsyncIterator[Beside]:
    """All that both rows have, and a sidecar that brings events by `protocol`. Raises Ended."""
    async with (
        redis_and_plan(folder, ROOT / "components/redis") as (plan, environment, redis),
        bare_function(folder) as (function, where),
        started((sidecar := replace(plan, protocol=protocol)).command(), folder, "daprd", environment=environment) as child,
    ):
        port = int(environment["REDIS_HOST"].rpartition(":")[2])
        yield Beside(sidecar, port, [redis, function, child], f"http://{where}")


@asynccontextmanager
async def bridge(folder: Path, way: str, settings: Mapping[str, object] | None = None) -> AsyncIterator[Subject]:
    """A bridge with the runtime dapr, and `settings` besides those that every bridge here has."""
    async with _beside(folder, "grpc") as beside:
        port, config = free_port(), folder / "bridge.yaml"
        apps = {"python-functions": {"url": beside.function}}
        config.write_text(json.dumps(bridge_settings(folder, port) | {"runtime": "dapr", "function_apps": apps} | (settings or {})))
        command = [sys.executable, "-m", "bridge", "up", "--config", str(config)]
        async with _served(beside, command, folder, "bridge", port, {}) as child:
            await _well(f"http://127.0.0.1:{port}/healthz/ready", child)
            yield _subject(beside, child, way, port)


@asynccontextmanager
async def bare(folder: Path, way: str, protocol: str) -> AsyncIterator[Subject]:
    """The bare handler behind a sidecar that brings events by `protocol`."""
    async with _beside(folder, protocol) as beside:
        port = free_port()
        command = [sys.executable, "-m", "tests.benchmarks.barehandler", str(port), str(beside.sidecar.ports["app-port"]), protocol]
        async with _served(beside, command, folder, "front", port, {"BENCH_FUNCTION_URL": beside.function}) as child:
            yield _subject(beside, child, way, port)


@asynccontextmanager
async def _served(
    beside: Beside, command: Sequence[str], folder: Path, role: str, port: int, environment: Mapping[str, str]
) -> AsyncIterator[Child]:
    """Either of them once it listens and its sidecar is subscribed."""
    known = {**beside.sidecar.known_to_the_bridge(), **environment}
    async with started(command, folder, role, environment=known) as child:
        await listening(port, child)
        await _well(f"{beside.sidecar.address}/v1.0/healthz", child)
        yield child


async def _well(probe: str, child: Child) -> None:
    """Return once the sidecar, or the bridge, says that all of it is ready. Raises Ended."""
    try:
        async with asyncio.timeout(STARTING), aiohttp.ClientSession() as session:
            while True:
                child.check()
                async with session.get(probe) as answer:
                    if answer.ok:
                        return
                await asyncio.sleep(0.1)
    except (TimeoutError, aiohttp.ClientError) as fault:
        raise Ended(f"{probe} is not ready ({type(fault).__name__}):\n{child.last_lines()}") from None


def _subject(beside: Beside, child: Child, way: str, port: int) -> Subject:
    client = [sys.executable, "-m", "tests.benchmarks.requester", way, f"127.0.0.1:{port}", TARGET]
    return Subject([child, *beside.servers], client, called=partial(spent.commands, beside.redis_port))
