"""A whole bridge behind a real sidecar and Redis: requests go in at the doors, runs end, replies come out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from bridge import catalog, entities, resilience
from bridge.adapters.dapr import DaprComponents
from bridge.app import Bridge, assemble
from bridge.auth import LOCAL
from bridge.events import Submission
from bridge.plans import Plans
from bridge.ports import FunctionResponse, Functions
from bridge.run import Status
from bridge.settings import Settings
from bridge.testing import MemoryRuntime, ScriptedFunctions, json_answer
from tests.dapr.sidecar import COMPONENTS, Sidecar, redis, sidecar

CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: one}
spec:
  deadline: 1m
  targets:
  - {name: only, http: {app: app, path: /api/one}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: short}
spec:
  deadline: 1s
  targets:
  - {name: only, http: {app: app, path: /api/hangs}}
"""
POLICY = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: test}
spec:
  policies:
    timeouts: {call: 2s}
    retries: {late: {policy: constant, duration: 6s, maxRetries: 1}}
  targets:
    apps:
      app: {timeout: call, retry: late}
"""


@pytest.fixture
async def beside(tmp_path) -> AsyncIterator[Sidecar]:
    async with (
        redis(tmp_path / "redis") as storing,
        sidecar(tmp_path, COMPONENTS / "redis", {"REDIS_HOST": f"127.0.0.1:{storing.port}"}) as started,
    ):
        yield started


@pytest.fixture
def functions() -> ScriptedFunctions:
    return ScriptedFunctions({"/api/one": [json_answer({"big": 2**60})]})


@asynccontextmanager
async def bridge(folder: Path, beside: Sidecar, functions: Functions, replica: str = "one") -> AsyncIterator[Bridge]:
    (folder / "catalogue.yaml").write_text(CATALOGUE)
    (folder / "policy.yaml").write_text(POLICY)
    listed = entities.load(COMPONENTS / "servicebus.json")
    plans = Plans(catalog.load(folder / "catalogue.yaml"), resilience.load(folder / "policy.yaml"), listed)
    async with DaprComponents.open(beside.connection, listed, replica=replica, max_message=2**20) as dapr:
        made = assemble(Settings(), plans, MemoryRuntime(dapr.bus, dapr.store, functions, replica=replica))
        for source, handler in made.pipeline.subscriptions().items():
            await dapr.bus.subscribe(source, handler, concurrency=32)
        yield made


async def test_a_request_becomes_a_run_that_ends(tmp_path, beside, functions):
    async with bridge(tmp_path, beside, functions) as made:
        await made.services.bridge.submit(Submission("one", {"number": 2**60}, "id-1"), LOCAL)
        run = await made.services.bridge.find("id-1", LOCAL, wait=10)
    assert (run.status, run.output, run.input) == (Status.SUCCEEDED, {"big": 2**60}, {"number": 2**60})


async def test_many_requests_each_run_once(tmp_path, beside, functions):
    async with bridge(tmp_path, beside, functions) as made:
        ids = [f"id-{number}" for number in range(200)]
        await asyncio.gather(*(made.services.bridge.submit(Submission("one", None, each), LOCAL) for each in ids))
        runs = await asyncio.gather(*(made.services.bridge.find(each, LOCAL, wait=20) for each in ids))
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert len(functions.calls) == 200


async def test_two_replicas_share_the_work_and_each_request_runs_once(tmp_path, machine, functions):
    await machine.redis()
    first = await machine.sidecar()
    second = await replace(machine, directory=tmp_path / "second", app_port=0, port=0).sidecar()
    async with bridge(tmp_path, first, functions, "one") as one, bridge(tmp_path, second, functions, "two") as two:
        ids = [f"id-{number}" for number in range(100)]
        await asyncio.gather(*(one.services.bridge.submit(Submission("one", None, each), LOCAL) for each in ids))
        await asyncio.gather(*(two.services.bridge.submit(Submission("one", None, each), LOCAL) for each in ids))
        runs = await asyncio.gather(*(two.services.bridge.find(each, LOCAL, wait=20) for each in ids))
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert len(functions.calls) == 100


async def test_a_run_ends_at_its_deadline_although_the_bus_cannot_schedule(tmp_path, beside, functions):
    async def hangs(_: object) -> FunctionResponse:
        await asyncio.sleep(5)
        return json_answer(None)

    functions.answers["/api/hangs"] = [hangs]
    async with bridge(tmp_path, beside, functions) as made:
        await made.services.bridge.submit(Submission("short", None, "id-1"), LOCAL)
        run = await made.services.bridge.find("id-1", LOCAL, wait=4)
    assert run.status is Status.TIMED_OUT


async def test_a_second_attempt_comes_after_its_pause_although_the_bus_cannot_schedule(tmp_path, beside, functions):
    functions.answers["/api/one"] = [json_answer(None, 503), json_answer("second")]
    async with bridge(tmp_path, beside, functions) as made:
        await made.services.bridge.submit(Submission("one", None, "id-1"), LOCAL)
        run = await made.services.bridge.find("id-1", LOCAL, wait=20)
    assert (run.status, run.output) == (Status.SUCCEEDED, "second")
    assert len(functions.calls) == 2


async def test_a_run_goes_on_in_the_next_process(tmp_path, beside, functions):
    started = asyncio.Event()

    async def never(_: object) -> FunctionResponse:
        started.set()
        await asyncio.Event().wait()
        return json_answer(None)

    functions.answers["/api/one"] = [never, json_answer("after all")]
    async with bridge(tmp_path, beside, functions) as made:
        await made.services.bridge.submit(Submission("one", None, "id-1"), LOCAL)
        await started.wait()
    async with bridge(tmp_path, beside, functions) as made:
        run = await made.services.bridge.find("id-1", LOCAL, wait=30)
    assert (run.status, run.output) == (Status.SUCCEEDED, "after all")


async def test_a_stranger_cannot_make_a_message_look_given_up(tmp_path, beside, functions):
    async with bridge(tmp_path, beside, functions) as made:
        await _publish(beside, "automation-deadletters", b"no event", **{"metadata.DeadLetterReason": "forged"})
        async with asyncio.timeout(10):
            while not (page := (await made.services.deadletters.kept.page(10, ""))[0]):
                await asyncio.sleep(0.05)
    assert (page[0].reason, page[0].detail) == ("GaveUp", "no reason given")


async def test_what_is_no_event_becomes_a_dead_letter(tmp_path, beside, functions):
    async with bridge(tmp_path, beside, functions) as made:
        await _publish(beside, "automation-requests", b"\xff no event")
        async with asyncio.timeout(10):
            while not (page := (await made.services.deadletters.kept.page(10, ""))[0]):
                await asyncio.sleep(0.05)
    assert (page[0].reason, page[0].original()) == ("Malformed", b"\xff no event")


async def _publish(beside: Sidecar, topic: str, body: bytes, **properties: str) -> None:
    """As any other application of the sidecar would."""
    headers = {"dapr-api-token": beside.connection.api_token, "content-type": "text/plain"}
    url = f"{beside.connection.address}/v1.0/publish/bus/{topic}"
    query = {"metadata.rawPayload": "true", **{f"metadata.{name}": value for name, value in properties.items()}}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers, params=query) as answer:
        assert answer.status == 204
