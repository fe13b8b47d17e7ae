"""A trace that somebody has begun goes through the sidecar to the function, and the sidecar tells a collector of its part in it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from bridge.adapters.dapr.functions import DaprFunctions
from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.settings import Settings
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr.machine import Machine
from tests.dapr.serving import serving
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, sidecar
from tests.dapr.streams import streams
from tests.dapr.test_functions import ENDPOINT, to

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclass
class Collector:
    """What a collector that speaks Zipkin's protocol was told."""

    url: str
    spans: list[dict[str, Any]]

    async def traces(self, count: int) -> set[str]:
        """The traces of the spans, once there are so many."""
        async with asyncio.timeout(20):
            while len(self.spans) < count:
                await asyncio.sleep(0.05)
        return {span["traceId"] for span in self.spans}


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    spans: list[dict[str, Any]] = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        spans.extend(await request.json())
        return web.Response(status=202)

    async with serving(take) as port:
        yield Collector(f"http://127.0.0.1:{port}/api/v2/spans", spans)


@asynccontextmanager
async def functions(folder: Path, app: Scripted, tracing: dict[str, Any]) -> AsyncIterator[DaprFunctions]:
    """Called through a sidecar with this tracing."""
    components = shutil.copytree(COMPONENTS / "local", folder / "components", ignore=shutil.ignore_patterns("endpoints"))
    (components / "app.yaml").write_text(ENDPOINT.format(name="app", url=app.url, key=KEY))
    file = components / "configuration.yaml"
    configuration = yaml.safe_load(file.read_text())
    configuration["spec"]["tracing"] = tracing
    file.write_text(yaml.safe_dump(configuration))
    async with (
        sidecar(folder, components, {"BRIDGE_STATE_FILE": str(folder / "state.db")}) as beside,
        SidecarClient.open(beside.connection.address, API_TOKEN) as client,
    ):
        await client.wait_until_ready(20)
        async with DaprFunctions.open(Settings(), client, API_TOKEN) as opened:
            yield opened


async def called_with(functions: DaprFunctions, app: Scripted, traceparent: str) -> str:
    """The traceparent that the function saw."""
    call = to("app")
    await functions.call(replace(call, headers={**call.headers, "traceparent": traceparent}))
    _, headers, _ = app.calls[-1]
    return headers.get("traceparent", "")


@pytest.mark.parametrize("name", ["local", "redis", "azure", "function-app"])
async def test_a_trace_that_was_begun_reaches_the_function_and_the_collector(tmp_path: Path, app: Scripted, name: str) -> None:
    shipped = yaml.safe_load((COMPONENTS / name / "configuration.yaml").read_text())["spec"]["tracing"]
    async with collector() as told:
        tracing = {"samplingRate": shipped["samplingRate"], "zipkin": {"endpointAddress": told.url}}
        async with functions(tmp_path, app, tracing) as called:
            seen = [await called_with(called, app, PARENT) for _ in range(3)]
            assert {each.split("-")[1] for each in seen} == {TRACE}
            assert {each.split("-")[3] for each in seen} == {"01"}
            assert TRACE in await told.traces(3)


async def test_with_a_sampling_rate_of_0_the_collector_would_hear_nothing(tmp_path: Path, app: Scripted) -> None:
    async with collector() as told, functions(tmp_path, app, {"samplingRate": "0", "zipkin": {"endpointAddress": told.url}}) as called:
        assert TRACE in await called_with(called, app, PARENT)
        await asyncio.sleep(2)  # the sidecar tells its spans a moment later
        assert told.spans == []


@pytest.mark.parametrize(("rate", "expected"), [("", TRACE), ("0", "")], ids=["as shipped", "0"])
async def test_a_trace_goes_on_in_what_is_published_unless_the_sampling_rate_is_0(machine: Machine, rate: str, expected: str) -> None:
    file = machine.components / "configuration.yaml"
    configuration = yaml.safe_load(file.read_text())
    configuration["spec"]["tracing"]["samplingRate"] = rate or configuration["spec"]["tracing"]["samplingRate"]
    file.write_text(yaml.safe_dump(configuration))
    await machine.redis()
    beside = await machine.sidecar()
    headers = {"dapr-api-token": API_TOKEN, "content-type": "application/cloudevents+json", "traceparent": PARENT}
    event = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "automation.requested", "subject": "echo"}
    async with SidecarClient.open(beside.connection.address, API_TOKEN) as client:
        await client.wait_until_ready(20)
    async with aiohttp.ClientSession(beside.connection.address, headers=headers) as http, streams(machine.redis_port, machine.port) as bus:
        async with http.post("/v1.0/publish/bus/automation-requests", json=event, headers=headers) as answer:
            assert answer.status == 204
        ((_, fields),) = await bus.redis.xrange("automation-requests")
    assert json.loads(fields[b"data"])["traceparent"][3:35] == expected
