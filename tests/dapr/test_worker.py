"""A function behind a topic that is an application with a sidecar of its own, with the components that ship for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.acceptance.worker import result_of
from tests.dapr.machine import Machine
from tests.dapr.process import bridge_on
from tests.dapr.serving import serving
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, free_ports, sidecar


@asynccontextmanager
async def application(port: int, api: str) -> AsyncIterator[None]:
    """Publishes the result of its work through its sidecar; work that says `refuse` it does not take."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/work":
            return web.json_response([])
        work = await request.json()
        if work["data"].get("refuse"):
            return web.Response(status=500)
        headers = {"dapr-api-token": API_TOKEN, "content-type": "application/cloudevents+json"}
        async with (
            aiohttp.ClientSession(api, headers=headers) as http,
            http.post("/v1.0/publish/bus/automation-results", json=result_of(work)) as told,
        ):
            return web.Response(status=200 if told.ok else 500)

    async with serving(answer, port):
        yield


def resources(folder: Path) -> Path:
    """What ships for it, and a configuration."""
    shutil.copytree(COMPONENTS / "worker" / "redis", folder)
    (folder / "configuration.yaml").write_text("{apiVersion: dapr.io/v1alpha1, kind: Configuration, metadata: {name: worker}, spec: {}}")
    return folder


@pytest.fixture
async def bridge(machine: Machine, tmp_path: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    """With the application and its sidecar beside it."""
    port, api = free_ports(2)
    await machine.redis()
    await machine.sidecar()
    environ = {"REDIS_HOST": f"127.0.0.1:{machine.redis_port}"}
    async with (
        application(port, f"http://127.0.0.1:{api}"),
        sidecar(tmp_path / "beside", resources(tmp_path / "worker"), environ, port, api, app_id="worker", protocol="http"),
        bridge_on(machine, tmp_path / "bridge", app) as made,
    ):
        yield made


async def run_of(bridge: BridgeProcess, value: dict[str, Any]) -> Any:
    path, headers = "/v1/automations/topic.work/requests", {"Prefer": "wait=20"}
    async with aiohttp.ClientSession(bridge.url) as http, http.post(path, json=value, headers=headers) as answer:
        return await answer.json()


async def test_its_result_ends_the_run(bridge: BridgeProcess) -> None:
    run = await run_of(bridge, {"text": "hello"})
    assert (run["status"], run["output"]) == ("Succeeded", {"text": "hello"})


async def test_work_that_its_sidecar_gives_up_fails_the_run_at_once_and_is_kept(bridge: BridgeProcess) -> None:
    run = await run_of(bridge, {"refuse": True})
    assert (run["status"], run["error"]["code"]) == ("Failed", "GaveUp")
    async with aiohttp.ClientSession(bridge.url) as http, asyncio.timeout(10):
        while True:
            async with http.get("/v1/deadletters") as answer:
                letters = (await answer.json())["items"]
            if letters:
                break
            await asyncio.sleep(0.05)
    assert [(letter["reason"], letter["topic"]) for letter in letters] == [("GaveUp", "work")]
