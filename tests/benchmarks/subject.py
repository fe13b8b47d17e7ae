"""What a row measures: running servers and the command of its client."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.peerhome import PYTHON
from tests.benchmarks.process import ROOT, Child, Ended, free_port, listening, started

HERE = Path(__file__).parent
STARTING = 60.0  #: seconds the functions host may take


@dataclass(frozen=True)
class Subject:
    """Servers, and who sends them requests. `called` says how often each command of the Redis behind a sidecar was called so far."""

    servers: Sequence[Child]
    client: Sequence[str | Path]
    environment: dict[str, str] = field(default_factory=dict)
    called: Callable[[], Awaitable[Mapping[str, int]]] | None = None


@asynccontextmanager
async def bridge(folder: Path, way: str, automation: str, *, bare: bool = False) -> AsyncIterator[Subject]:
    """An embedded bridge with the local functions host, or with a bare HTTP function instead."""
    port, data = free_port(), folder / "data"
    settings = bridge_settings(folder, port)
    client = [sys.executable, "-m", "tests.benchmarks.requester", way, f"127.0.0.1:{port}", f"/v1/automations/{automation}/requests"]
    config = folder / "bridge.yaml"
    command: list[str | Path] = [sys.executable, "-m", "bridge", "up", "--config", config]
    if bare:
        async with bare_function(folder) as (function, address):
            config.write_text(json.dumps(settings | {"function_apps": {"python-functions": {"url": f"http://{address}"}}}))
            async with started(command, folder, "bridge") as child:
                await listening(port, child)
                yield Subject([child, function], client)
        return
    config.write_text(json.dumps(settings | {"functions": str(HERE / "app"), "functions_port": 0}))
    async with started(command, folder, "bridge", "functions host", "worker") as child:
        await listening(port, child)
        await _hosted(data, child)
        yield Subject([child], client)


def bridge_settings(folder: Path, port: int) -> dict[str, object]:
    """What every bridge here is told."""
    return {
        "port": port,
        "data_dir": str(folder / "data"),
        "catalogue": str(HERE / "app/automations.yaml"),
        "resiliency": str(ROOT / "functions/resiliency.yaml"),
        "entities": str(_entities(folder)),
        "log_level": "warning",
    }


def _entities(folder: Path) -> Path:
    """The shipped topics and one for the echo."""
    entities: dict[str, Any] = json.loads((ROOT / "components/servicebus.json").read_text())
    properties = {"LockDuration": "PT1M", "MaxDeliveryCount": 3, "ForwardDeadLetteredMessagesTo": "automation-deadletters"}
    echo = {"Name": "bench-echo", "Subscriptions": [{"Name": "echo", "Properties": properties, "Rules": []}]}
    entities["UserConfig"]["Namespaces"][0]["Topics"].append(echo)
    path = folder / "entities.json"
    path.write_text(json.dumps(entities))
    return path


@asynccontextmanager
async def raw(folder: Path, *, bare: bool = False) -> AsyncIterator[Subject]:
    """A front that passes requests on to the same function and promises nothing."""
    if bare:
        async with bare_function(folder) as (function, address), _front(folder, f"http://{address}/", {}) as (front, client):
            yield Subject([front, function], client)
        return
    data = folder / "data"
    command: list[str | Path] = [sys.executable, "-m", "bridge.local.functions", "--apps", HERE / "app", "--data-dir", data, "--port", "0"]
    async with started(command, folder, "functions host", "worker") as host:
        app = await _hosted(data, host)
        async with _front(folder, f"{app['url']}/api/echo", {"BENCH_FUNCTION_KEY": app["key"]}) as (front, client):
            yield Subject([front, host], client)


@asynccontextmanager
async def _front(folder: Path, url: str, key: dict[str, str]) -> AsyncIterator[tuple[Child, Sequence[str]]]:
    """The bare front, and the client that calls it."""
    port = free_port()
    async with started(
        uvicorn("tests.benchmarks.bare:front", port), folder, "front", environment={"BENCH_FUNCTION_URL": url, **key}
    ) as front:
        await listening(port, front)
        yield front, [sys.executable, "-m", "tests.benchmarks.requester", "raw", f"127.0.0.1:{port}", "/"]


@asynccontextmanager
async def bare_function(folder: Path) -> AsyncIterator[tuple[Child, str]]:
    """The function in a bare HTTP server, and its host and port."""
    port = free_port()
    async with started(uvicorn("tests.benchmarks.bare:function", port), folder, "worker") as function:
        await listening(port, function)
        yield function, f"127.0.0.1:{port}"


@asynccontextmanager
async def behind(folder: Path, *, http: bool) -> AsyncIterator[tuple[str, Sequence[Child], dict[str, str]]]:
    """The role of a peer's worker, the HTTP function behind it if there is one, and how the worker is told of it."""
    if not http:
        yield "worker", [], {}
        return
    async with bare_function(folder) as (function, address):
        yield "task worker", [function], {"BENCH_FUNCTION_URL": f"http://{address}/"}


def uvicorn(program: str, port: int, python: str | Path = sys.executable) -> list[str]:
    """The command that serves an ASGI program as fast as uvicorn can."""
    options = (
        "--port",
        str(port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--interface",
        "asgi3",
        "--lifespan",
        "off",
        "--no-access-log",
        "--log-level",
        "warning",
        # Longer than any pause of a benchmark: a connection that is closed just as it is used again would fail a request.
        "--timeout-keep-alive",
        "75",
        "--timeout-graceful-shutdown",
        "1",
    )
    return [str(python), "-m", "uvicorn", program, *options]


async def _hosted(data: Path, child: Child) -> dict[str, str]:
    """Where the functions host serves the app, once it does. Raises Ended."""
    try:
        async with asyncio.timeout(STARTING):
            while not (path := data / "functions.json").exists():
                child.check()
                await asyncio.sleep(0.1)
    except TimeoutError:
        log = data / "functions.log"
        said = log.read_text("utf-8", errors="replace")[-1000:] if log.exists() else child.last_lines()
        raise Ended(f"the functions host is not ready after {STARTING:g} s:\n{said}") from None
    app: dict[str, str] = json.loads(path.read_text())["python-functions"]
    return app


@asynccontextmanager
async def peer(folder: Path, name: str, *variant: str, http: bool = False) -> AsyncIterator[Subject]:
    """A peer's worker on a Redis that syncs its file every second. With `http` its task calls the bare HTTP function."""
    port = free_port()
    durable = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
    command: list[str | Path] = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, *durable]
    environment = {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0"}
    module: list[str | Path] = [PYTHON, "-m", f"tests.benchmarks.peers.{name}"]
    async with behind(folder, http=http) as (role, function, told), started(command, folder, "redis") as redis:
        await listening(port, redis)
        async with started([*module, "worker", *variant], folder, role, environment=environment | told) as worker:
            yield Subject([worker, redis, *function], [*module, "client"], environment)
