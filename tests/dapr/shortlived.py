"""A bridge and a function app, each behind a sidecar of its own, and a sentry whose certificates end while a test watches."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp

from tests.acceptance.bridge_process import BridgeProcess
from tests.dapr import authority
from tests.dapr.machine import Machine, quick
from tests.dapr.mesh import App, Member, Sentry, identified, member, sentry, small_app
from tests.dapr.process import beside
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, Sidecar, free_ports, sidecar

#: How long sentry's certificates for sidecars last; they are renewed after half of it. What Dapr allows clocks to differ would be longer.
LEAF, SKEW = "24s", "1s"
#: Sidecars find each other by multicast, those of other tests too.
FUNCTIONS, OTHERS = (f"{name}-{secrets.token_hex(4)}" for name in ("functions", "others"))
CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: inspect, description: A function behind a sidecar of its own}
spec:
  deadline: 2m
  targets:
  - {name: inspect, http: {app: inspecting, path: /api/inspect}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: topic.work, description: Work behind a topic}
spec:
  deadline: 2m
  targets:
  - {name: work, topic: {name: work}}
"""
POLICY = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: patient}
spec:
  policies:
    timeouts: {call: 5s}
    retries: {patient: {policy: constant, duration: 500ms, maxRetries: 200, matching: {httpStatusCodes: "408,429,500-599"}}}
  targets:
    apps:
      inspecting: {timeout: call, retry: patient}
"""


@dataclass
class Place:
    """All of it in one folder. The folder `sentry` is what the Secret and the ConfigMap are on a cluster."""

    folder: Path
    machine: Machine
    app: App
    stack: AsyncExitStack
    ports: Sequence[int] = field(default_factory=lambda: free_ports(8))
    sentry: Sentry | None = None
    _running: dict[str, AsyncExitStack] = field(default_factory=dict)

    @property
    def certificates(self) -> Path:
        return self.folder / "sentry"

    @property
    def source(self) -> str:
        """Where the bridge sees when the issuer of its sidecar ends, as the chart has it."""
        return f"tls://127.0.0.1:{self.ports[7]}"

    def make(self, name: str, life: timedelta) -> None:
        """A root and an issuer of it that end after so long."""
        authority.write(self.folder / name, root=life, issuer=life)

    def keep(self, roots: Sequence[str], issuer: str) -> None:
        """What sentry is to have from its next start on: the roots that are trusted, and who signs."""
        self.certificates.mkdir(exist_ok=True)
        (self.certificates / "ca.crt").write_text("".join((self.folder / each / "ca.crt").read_text() for each in roots))
        for name in ("issuer.crt", "issuer.key"):
            shutil.copy(self.folder / issuer / name, self.certificates / name)

    async def restart_sentry(self) -> None:
        opened = await self._opened("sentry")
        started = sentry(self.certificates, self.ports[:3], workloadCertTTL=LEAF, allowedClockSkew=SKEW)
        self.sentry = await opened.enter_async_context(started)

    async def restart_functions(self) -> None:
        opened = await self._opened("functions")
        started = await opened.enter_async_context(self._functions(FUNCTIONS, self.app, self.ports[3:7]))
        opened.push_async_callback(started.running.stop)

    async def start_others(self) -> App:
        """A second app like it, for `call_others`."""
        app = await self.stack.enter_async_context(small_app())
        await self.stack.enter_async_context(self._functions(OTHERS, app, ()))
        return app

    async def call_others(self) -> int:
        """The status of a call of that app from the bridge's sidecar to its own."""
        url = f"http://127.0.0.1:{self.machine.port}/v1.0/invoke/{OTHERS}/method/api/x"
        async with aiohttp.ClientSession(headers={"dapr-api-token": API_TOKEN}) as http, http.post(url, json={}) as answer:
            return answer.status

    def _functions(self, app_id: str, app: App, ports: Sequence[int]) -> AbstractAsyncContextManager[Member]:
        configuration = COMPONENTS / "function-app" / "configuration.yaml"
        return member(self.folder, app_id, app, self.sentry, [configuration], ports)

    async def restart_bridge(self) -> BridgeProcess:
        """As a pod is replaced: bridge and sidecar end and start together."""
        opened = await self._opened("bridge")
        beside_it = await opened.enter_async_context(self._sidecar())
        opened.push_async_callback(beside_it.program.stop)
        return await opened.enter_async_context(beside(self.machine, self.folder, self._settings(), {}))

    def _sidecar(self) -> AbstractAsyncContextManager[Sidecar]:
        assert self.sentry is not None
        arguments, known = identified(self.sentry)
        machine = self.machine
        environ = {**machine.environ, **known}
        return sidecar(
            *(machine.directory, machine.components, environ, machine.app_port, machine.port), internal_port=self.ports[7], more=arguments
        )

    async def _opened(self, name: str) -> AsyncExitStack:
        """What ends it, after whatever ran under this name has ended."""
        if name in self._running:
            await self._running[name].aclose()
        self._running[name] = await self.stack.enter_async_context(AsyncExitStack())
        return self._running[name]

    def _settings(self) -> str:
        for name, content in (("automations.yaml", CATALOGUE), ("resiliency.yaml", POLICY)):
            (self.folder / name).write_text(content)
        return f"""
catalogue: {self.folder / "automations.yaml"}
resiliency: {self.folder / "resiliency.yaml"}
entities: {Path(__file__).parents[1] / "acceptance" / "servicebus.json"}
function_apps: {{inspecting: {{app_id: {FUNCTIONS}}}}}
certificates: ['{self.source}', '{self.certificates / "ca.crt"}']
"""


@asynccontextmanager
async def place(folder: Path, life: timedelta) -> AsyncIterator[Place]:
    """It with a root and an issuer `old` that end after `life`, and nothing started yet but Redis and the app."""
    async with AsyncExitStack() as stack:
        machine = Machine(folder, quick(folder), *free_ports(3), stack)
        await machine.redis()
        made = Place(folder, machine, await stack.enter_async_context(small_app()), stack)
        made.make("old", life)
        made.keep(["old"], "old")
        yield made


async def readiness(bridge: BridgeProcess) -> tuple[int, str, list[str]]:
    """What the bridge says of itself: the HTTP status, its own, and the reasons."""
    async with aiohttp.ClientSession(bridge.url) as http, http.get("/healthz/ready") as answer:
        told = await answer.json()
    return answer.status, told["status"], told.get("reasons", [])


async def becomes(bridge: BridgeProcess, wanted: str, seconds: float = 30) -> list[str]:
    """The reasons, once the bridge says of itself what is wanted."""
    async with asyncio.timeout(seconds):
        while (told := await readiness(bridge))[1] != wanted:
            await asyncio.sleep(0.1)
    return told[2]
