"""A function behind a topic that is an application with a sidecar of its own, with the components that ship for it."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.results import result_of
from tests.acceptance.scripted import Scripted
from tests.dapr.machine import Machine, quick
from tests.dapr.namespace import NamespaceMachine, connect
from tests.dapr.process import bridge_on
from tests.dapr.serving import serving
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, free_ports, sidecar

AWAY = 6.0  #: seconds; the run has 20


@asynccontextmanager
async def application(port: int, api: str) -> AsyncIterator[None]:
    """Publishes the result of its work through its sidecar. Work that says `refuse` gets that status, one that says `busy` twice a 503."""
    tries = Counter[str]()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/work":
            return web.json_response([])
        work = await request.json()
        tries[work["id"]] += 1
        if refuse := work["data"].get("refuse"):
            return web.Response(status=refuse)
        if work["data"].get("busy") and tries[work["id"]] < 3:
            return web.Response(status=503)
        headers = {"dapr-api-token": API_TOKEN, "content-type": "application/cloudevents+json"}
        async with (
            aiohttp.ClientSession(api, headers=headers) as http,
            http.post("/v1.0/publish/worker-bus/automation-results", json=result_of(work)) as told,
        ):
            return web.Response(status=200 if told.ok else 500)

    async with serving(answer, port):
        yield


def resources(bus: str, folder: Path) -> Path:
    """What ships for it on that bus, and a configuration."""
    shutil.copytree(COMPONENTS / "worker" / bus, folder)
    if bus == "azure":
        connect(folder / "bus.yaml")
    (folder / "configuration.yaml").write_text("{apiVersion: dapr.io/v1alpha1, kind: Configuration, metadata: {name: worker}, spec: {}}")
    return folder


@dataclass
class Place:
    """A bridge, and the application with its sidecar."""

    bridge: BridgeProcess
    port: int
    api: int
    stack: AsyncExitStack

    async def start(self) -> None:
        """The application."""
        await self.stack.enter_async_context(application(self.port, f"http://127.0.0.1:{self.api}"))

    async def stop(self) -> None:
        await self.stack.aclose()


async def started(bus: str, folder: Path, stack: AsyncExitStack) -> Machine:
    """A machine with the sidecar of a bridge on that bus."""
    if bus == "azure":
        machine: Machine = (namespaced := NamespaceMachine.planned(folder, stack))
        await namespaced.broker()
    else:
        machine = Machine(folder, quick(folder), *free_ports(3), stack)
    await machine.redis()
    await machine.sidecar()
    return machine


@pytest.fixture(params=["redis", "azure"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, app: Scripted) -> AsyncIterator[Place]:
    port, api = free_ports(2)
    async with AsyncExitStack() as stack:
        machine = await started(request.param, tmp_path, stack)
        environ, at_work = machine.environ, resources(request.param, tmp_path / "worker")
        stack.push_async_callback((there := AsyncExitStack()).aclose)
        beside = sidecar(tmp_path / "beside", at_work, environ, port, api, app_id="worker", protocol="http", at_once=1)
        await stack.enter_async_context(beside)
        bridge = await stack.enter_async_context(bridge_on(machine, tmp_path / "bridge", app))
        place = Place(bridge, port, api, there)
        await place.start()
        yield place


@pytest.fixture
def bridge(place: Place) -> BridgeProcess:
    return place.bridge


async def run_of(bridge: BridgeProcess, value: dict[str, Any]) -> Any:
    path, headers = "/v1/automations/topic.work/requests", {"Prefer": "wait=20"}
    async with aiohttp.ClientSession(bridge.url) as http, http.post(path, json=value, headers=headers) as answer:
        return await answer.json()


async def test_its_result_ends_the_run(bridge: BridgeProcess) -> None:
    run = await run_of(bridge, {"text": "hello"})
    assert (run["status"], run["output"]) == ("Succeeded", {"text": "hello"})


async def test_work_waits_for_an_application_that_is_away(place: Place) -> None:
    assert (await run_of(place.bridge, {}))["status"] == "Succeeded"
    await place.stop()
    runs = [asyncio.create_task(run_of(place.bridge, {"number": number})) for number in range(5)]
    await asyncio.sleep(AWAY)
    await place.start()
    assert [(run["status"], run["output"]) for run in await asyncio.gather(*runs)] == [
        ("Succeeded", {"number": number}) for number in range(5)
    ]


async def test_work_for_which_the_application_is_too_busy_comes_again(bridge: BridgeProcess) -> None:
    run = await run_of(bridge, {"busy": True})
    assert (run["status"], run["output"]) == ("Succeeded", {"busy": True})


@pytest.mark.parametrize("status", [400, 500])
async def test_work_that_the_application_refuses_fails_the_run_at_once_and_is_kept(bridge: BridgeProcess, status: int) -> None:
    run = await run_of(bridge, {"refuse": status})
    assert (run["status"], run["error"]["code"]) == ("Failed", "GaveUp")
    async with aiohttp.ClientSession(bridge.url) as http, asyncio.timeout(10):
        while True:
            async with http.get("/v1/deadletters") as answer:
                letters = (await answer.json())["items"]
            if letters:
                break
            await asyncio.sleep(0.05)
    assert [(letter["reason"], letter["topic"]) for letter in letters] == [("GaveUp", "work")]
