"""Real sidecars that know each other by certificates of a real sentry, and small apps behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from tests.dapr.sidecar import API_TOKEN, APP_TOKEN, Program, answers, daprd, free_ports, missing, on_loopback, program
from tools.dapr import binaries

CONTROL_PLANE = "localhost"  #: the trust domain of sentry itself; that of the apps is in their configurations
_PATIENCE = 30  #: seconds until something that was started must answer


@dataclass
class Sentry:
    """The authority that gives sidecars their certificates. `directory` holds its own: ca.crt, issuer.crt, issuer.key."""

    directory: Path
    port: int
    metrics_port: int

    @property
    def root(self) -> str:
        """The root certificate, in PEM: what every sidecar trusts."""
        return (self.directory / "ca.crt").read_text()


@dataclass
class App:
    """An app that answers every call, and keeps what was asked of it."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/dapr/"):  # what a sidecar asks when it starts
            return web.json_response([] if request.path == "/dapr/subscribe" else {})
        self.asked.append(f"{request.method} {request.path}")
        return web.json_response({"said": "done"})


@dataclass
class Member:
    """An app with its sidecar."""

    app: App
    address: str
    grpc_port: int
    internal_port: int
    metrics_port: int
    running: Program

    async def call(self, app_id: str, path: str, method: str = "POST") -> tuple[int, str]:
        """What the app of that id answers to a call through both sidecars."""
        url = f"{self.address}/v1.0/invoke/{app_id}/method/{path}"
        headers = {"dapr-api-token": API_TOKEN}
        async with aiohttp.ClientSession(headers=headers) as session, session.request(method, url, json={}) as answer:
            return answer.status, await answer.text()


@dataclass
class Mesh:
    """Starts sentries and members in one folder; all end with `stack`."""

    directory: Path
    stack: AsyncExitStack

    async def sentry(self, name: str = "sentry") -> Sentry:
        """A sentry; it makes its own certificates where the folder of that name has none."""
        return await self.stack.enter_async_context(sentry(self.directory / name))

    async def member(self, app_id: str, sentry: Sentry | None, *configurations: Path) -> Member:
        """An app of that name with a sidecar; without a sentry the sidecar has no certificate."""
        app = await self.stack.enter_async_context(small_app())
        return await self.stack.enter_async_context(member(self.directory, app_id, app, sentry, configurations))

    def configuration(self, name: str, **spec: object) -> Path:
        """A configuration with that spec."""
        return _written(self.directory / f"{name}.yaml", {**spec})


def _written(path: Path, spec: dict[str, object]) -> Path:
    path.parent.mkdir(exist_ok=True)
    document = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": path.stem}, "spec": spec}
    path.write_text(yaml.safe_dump(document))
    return path


@asynccontextmanager
async def sentry(directory: Path, ports: Sequence[int] = (), **mtls: object) -> AsyncIterator[Sentry]:
    """A sentry with what the folder has, or makes there, on three `ports` or free ones; `mtls` are settings of its configuration."""
    try:
        path = binaries.find("sentry")
    except binaries.NotThere as fault:
        path = missing(str(fault))
    port, health, metrics = ports or free_ports(3)
    flags = {
        "config": _written(directory / "sentry.yaml", {"mtls": {"enabled": True, **mtls}}),
        "issuer-credentials": directory,
        "trust-domain": CONTROL_PLANE,
        "listen-address": "127.0.0.1",
        "port": port,
        # Sentry 1.18 listens on all addresses with these two ports all the same.
        "healthz-listen-address": "127.0.0.1",
        "healthz-port": health,
        "metrics-listen-address": "127.0.0.1",
        "metrics-port": metrics,
    }
    async with program(path, *_arguments(flags), log=directory / "sentry.log") as running:
        await answers(port, running)
        yield Sentry(directory, port, metrics)


@asynccontextmanager
async def small_app() -> AsyncIterator[App]:
    """An app on a port of its own."""
    app = App()
    runner = web.ServerRunner(web.Server(app.answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        app.port = runner.addresses[0][1]
        yield app
    finally:
        await runner.cleanup()


def identified(sentry: Sentry) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment by which a sidecar gets a certificate of that sentry."""
    arguments = ["--enable-mtls", f"--sentry-address=127.0.0.1:{sentry.port}"]
    arguments += [f"--control-plane-trust-domain={CONTROL_PLANE}", "--control-plane-namespace=default"]
    return arguments, {"DAPR_TRUST_ANCHORS": sentry.root, "NAMESPACE": "default", "DAPR_HOST_IP": "127.0.0.1"}


@asynccontextmanager
async def member(
    directory: Path, app_id: str, app: App, sentry: Sentry | None, configurations: Sequence[Path], ports: Sequence[int] = ()
) -> AsyncIterator[Member]:
    """A sidecar of the app, on four `ports` or free ones: for HTTP, for gRPC, for other sidecars, for metrics."""
    http, grpc, internal, metrics = ports or free_ports(4)
    flags = on_loopback(app_id, app.port, (http, grpc, internal, metrics))
    environ = {"APP_API_TOKEN": APP_TOKEN, "DAPR_API_TOKEN": API_TOKEN, "NAMESPACE": "default", "DAPR_HOST_IP": "127.0.0.1"}
    arguments = [*_arguments(flags), *(f"--config={each}" for each in configurations)]
    if sentry:
        more, known = identified(sentry)
        arguments, environ = [*arguments, *more], {**environ, **known}
    async with program(daprd(), *arguments, log=directory / f"{app_id}.log", environ=environ) as running:
        member = Member(app, f"http://127.0.0.1:{http}", grpc, internal, metrics, running)
        await _healthy(f"{member.address}/v1.0/healthz", running)
        yield member


async def _healthy(url: str, running: Program) -> None:
    async with asyncio.timeout(_PATIENCE), aiohttp.ClientSession() as session:
        while True:
            assert running.process.returncode is None, f"it ended: {running.log.read_text()[-3000:]}"
            try:
                async with session.get(url) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


def _arguments(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
