"""The rows of durable engines: Restate and NATS JetStream, each with a worker in Python, on disk before they say yes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.benchmarks.peerhome import PYTHON
from tests.benchmarks.process import Child, Ended, free_port, listening, started
from tests.benchmarks.servers import NATS, RESTATE
from tests.benchmarks.subject import STARTING, Subject, behind, uvicorn

#: Its default of 24 is made for bigger machines; with 4 it costs a sixth less on two cores.
PARTITIONS = "4"


@asynccontextmanager
async def restate(folder: Path, *, http: bool = False) -> AsyncIterator[Subject]:
    """A Restate server on its own, with everything that a cluster has in one process, and a worker that it calls."""
    worker_port, ingress, admin = free_port(), free_port(), free_port()
    command = uvicorn("tests.benchmarks.peers.restate:app", worker_port, python=PYTHON)
    async with (
        behind(folder, http=http) as (role, function, environment),
        # Its SDK takes SIGTERM for itself and goes on.
        started(command, folder, role, environment=environment, stop=signal.SIGINT) as worker,
        started(_restate(folder), folder, "restate", environment=_ports(ingress, admin)) as server,
    ):
        await listening(worker_port, worker)
        await _register(f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{worker_port}", server)
        await listening(ingress, server)
        client = [sys.executable, "-m", "tests.benchmarks.requester", "keyed", f"127.0.0.1:{ingress}", "/Echo/echo"]
        yield Subject([server, worker, *function], client)


def _restate(folder: Path) -> list[str | Path]:
    return [RESTATE.path, "--no-logo", "--node-name", "bench", "--base-dir", folder / "restate"]


def _ports(ingress: int, admin: int) -> dict[str, str]:
    """Restate's settings; whatever concerns the disk stays as it is shipped: its log is synced before a request is accepted."""
    return {
        "RESTATE_BIND_IP": "127.0.0.1",
        "RESTATE_BIND_PORT": str(free_port()),
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_DEFAULT_NUM_PARTITIONS": PARTITIONS,
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "warn",
    }


async def _register(admin: str, worker: str, server: Child) -> None:
    """Tell Restate of the worker once it listens. Raises Ended."""
    said = ""
    try:
        async with asyncio.timeout(STARTING), aiohttp.ClientSession() as session:
            while True:
                server.check()
                try:
                    async with session.post(f"{admin}/deployments", json={"uri": worker, "use_http_11": True}) as answer:
                        if answer.ok:
                            return
                        said = await answer.text()
                except aiohttp.ClientError as fault:
                    said = str(fault)
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise Ended(f"Restate did not take its worker within {STARTING:g} s: {said}") from None


@asynccontextmanager
async def nats(folder: Path, *, http: bool = False) -> AsyncIterator[Subject]:
    """A NATS server that syncs each write, and a worker that pulls from a work queue."""
    port = free_port()
    jetstream = {"store_dir": str(folder / "jetstream"), "sync_interval": "always"}
    config = folder / "nats.conf"
    config.write_text(json.dumps({"host": "127.0.0.1", "port": port, "jetstream": jetstream}))
    environment = {"BENCH_NATS": f"nats://127.0.0.1:{port}"}
    module: list[str | Path] = [PYTHON, "-m", "tests.benchmarks.peers.nats"]
    async with (
        behind(folder, http=http) as (role, function, told),
        started([NATS.path, "-c", config], folder, "nats") as server,
    ):
        await listening(port, server)
        async with started([*module, "worker"], folder, role, environment=environment | told) as worker:
            yield Subject([server, worker, *function], [*module, "client"], environment)
