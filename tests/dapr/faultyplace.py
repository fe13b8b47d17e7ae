"""A bridge and its sidecar on a namespace that fails as the service does, with a worker behind a topic, and if wanted a functions host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.entities import Entities
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.acceptance.worker import Worker, working
from tests.chaos.hosted import FunctionsHost
from tests.dapr.cutting import Cable
from tests.dapr.faulty import FaultyNamespace, faulty_namespace
from tests.dapr.namespace import NamespaceMachine, resources
from tests.dapr.process import bridge_on
from tests.dapr.servicebus import servicebus
from tests.dapr.sidecar import free_ports

NAMES = [f"order-{number}" for number in range(20)]
PATIENCE = 60  #: seconds for all of them, more than the longest deadline


@dataclass
class Place:
    namespace: FaultyNamespace
    bridge: BridgeProcess
    machine: NamespaceMachine
    http: aiohttp.ClientSession
    worker: Worker
    app: Scripted

    async def ask(self, automation: str, name: str) -> None:
        """Until it is accepted, as a client does."""
        async with asyncio.timeout(PATIENCE):
            while True:
                headers = {"X-Correlation-Id": name}
                async with self.http.post(f"/v1/automations/{automation}/requests", json={}, headers=headers) as answer:
                    if answer.status != 503:
                        assert answer.status in (200, 202), await answer.text()
                        return
                await asyncio.sleep(0.1)

    async def ended(self, name: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            while True:
                async with self.http.get(f"/v1/requests/{name}?wait=20") as answer:
                    if answer.status == 200:
                        return await answer.json()
                await asyncio.sleep(0.1)

    async def all_ended_well(self) -> None:
        """Each run once, its function once, and nothing is left over."""
        runs = await asyncio.gather(*map(self.ended, NAMES))
        assert {run["status"] for run in runs} == {"Succeeded"}
        for run in runs:
            attempts = {each["target"]: [attempt["outcome"] for attempt in each["attempts"]] for each in run["invocations"]}
            assert all(outcomes == ["Succeeded"] for outcomes in attempts.values()), attempts
        async with self.http.get("/v1/deadletters") as answer:
            assert (await answer.json())["items"] == []

    @property
    def most_effects(self) -> int:
        """How often the invocation was seen at its function that was seen most often."""
        return max((self.app.effects + self.worker.effects).values())

    async def met_faults(self) -> None:
        """Wait until the request of each run has met its fault, and a while longer, so that what comes again has come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.namespace.faults.met) < len(NAMES):
                await asyncio.sleep(0.05)
        await self.ask("echo", "later")
        await self.ended("later")


@asynccontextmanager
async def faulty_place(folder: Path, app: Scripted, known: Entities, *, hosted: bool = False) -> AsyncIterator[Place]:
    """`hosted`: with a functions host behind the topic `work`."""
    async with faulty_namespace(folder / "namespace", known) as namespace, AsyncExitStack() as stack:
        machine = NamespaceMachine(folder, resources(folder), *free_ports(3), stack, Cable(), namespace)
        await stack.enter_async_context(machine.cable.laid(namespace.port))
        await machine.redis()
        await machine.sidecar()
        bridge = bridge_on(machine, folder / "bridge", app, "drain: 1s")
        if hosted:
            (folder / "connection-string").write_text(namespace.connection_string)
            FunctionsHost.beside(bridge, folder / "connection-string")
        await stack.enter_async_context(bridge)
        http = await stack.enter_async_context(aiohttp.ClientSession(bridge.url))
        way = lambda: servicebus(namespace.connection_string)  # noqa: E731 - as the worker is told its way
        worker = await stack.enter_async_context(working(way, "pair/worker"))
        yield Place(namespace, bridge, machine, http, worker, app)
