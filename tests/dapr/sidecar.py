"""A real Dapr sidecar and a real Redis for tests, with the components that ship, on free loopback ports."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.adapters.dapr import SidecarConfig
from bridge.local.freeports import free_ports
from tools.dapr import binaries

COMPONENTS = Path(__file__).parents[2] / "components"
APP_TOKEN, API_TOKEN = "token-of-the-app", "token-of-the-sidecar"
_PATIENCE = 20  #: seconds until something that was started must answer


def daprd() -> Path:
    """The sidecar's program; where there is none the test is skipped, on CI it fails."""
    try:
        return binaries.find()
    except binaries.NotThere as fault:
        return missing(str(fault))


def redis_server() -> Path:
    """The same for Redis."""
    found = shutil.which("redis-server")
    return Path(found) if found else missing("redis-server is not on this machine; install the package redis-server or redis.")


def missing(why: str) -> Path:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@dataclass
class Program:
    """A program that runs; what it writes is kept in `log`."""

    process: asyncio.subprocess.Process
    log: Path

    async def stop(self) -> None:
        """End it as whoever replaces it does."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()

    async def kill(self) -> None:
        """End it as a crash would."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def program(path: Path, *arguments: str, log: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            path, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(environ or {})}
        )
    running = Program(process, log)
    try:
        yield running
    finally:
        await running.kill()


async def answers(port: int, program: Program) -> None:
    """Wait until somebody listens on the port."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            assert program.process.returncode is None, f"it ended: {program.log.read_text()[-3000:]}"
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@dataclass
class Redis:
    port: int
    program: Program


@asynccontextmanager
async def redis(directory: Path, port: int = 0) -> AsyncIterator[Redis]:
    """A Redis that keeps its data in `directory`, durably."""
    path, port = redis_server(), port or free_ports(1)[0]
    settings = [
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--dir",
        str(directory),
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]
    async with program(path, *settings, log=directory / "redis.log") as running:
        await answers(port, running)
        await _loaded(port)
        yield Redis(port, running)


async def _loaded(port: int) -> None:
    """Wait until Redis has read its data. A sidecar that starts before ends at once."""
    async with asyncio.timeout(_PATIENCE):
        said = b""
        while said != b"+PONG\r\n":
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PING\r\n")
            said = await reader.readline()
            writer.close()
            await asyncio.sleep(0.02)


def on_loopback(app_id: str, app_port: int, ports: tuple[int, int, int, int]) -> dict[str, object]:
    """Flags of daprd; `ports` are those for HTTP, for gRPC, for other sidecars and for metrics."""
    http, grpc, internal, metrics = ports
    return {
        "app-id": app_id,
        "app-port": app_port,
        "app-channel-address": "127.0.0.1",
        "dapr-http-port": http,
        "dapr-grpc-port": grpc,
        "dapr-internal-grpc-port": internal,
        "dapr-listen-addresses": "127.0.0.1",
        "dapr-internal-grpc-listen-address": "127.0.0.1",
        "metrics-port": metrics,
        "metrics-listen-address": "127.0.0.1",
        "dapr-graceful-shutdown-seconds": 1,
    }


@dataclass
class Sidecar:
    connection: SidecarConfig
    program: Program
    grpc_port: int = 0


@asynccontextmanager
async def sidecar(
    directory: Path,
    components: Path,
    environ: Mapping[str, str],
    app_port: int = 0,
    port: int = 0,
    *,
    configuration: Path | None = None,
    app_id: str = "automation-bridge",
    protocol: str = "grpc",
    at_once: int = -1,
    internal_port: int = 0,
    more: Sequence[str] = (),
) -> AsyncIterator[Sidecar]:
    """daprd with the components and the configuration of a folder. It starts; the adapter waits until it is ready.

    `at_once` bounds the calls of its application at a time; -1 does not. `more` are further arguments.
    """
    path = daprd()
    http, grpc, internal, metrics, free = free_ports(5)
    app_port, http, internal = app_port or free, port or http, internal_port or internal
    flags = {
        **on_loopback(app_id, app_port, (http, grpc, internal, metrics)),
        "app-protocol": protocol,
        "resources-path": components,
        "config": configuration or components / "configuration.yaml",
        "max-body-size": "16Mi",
        "app-max-concurrency": at_once,
    }
    given = {**environ, "APP_API_TOKEN": APP_TOKEN, "DAPR_API_TOKEN": API_TOKEN, "GOGC": "400"}
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    async with program(path, *arguments, *more, log=directory / "daprd.log", environ=given) as running:
        connection = SidecarConfig(f"http://127.0.0.1:{http}", app_port, APP_TOKEN, API_TOKEN, patience=_PATIENCE)
        yield Sidecar(connection, running, grpc)
