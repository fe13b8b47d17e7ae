"""A bridge with the functions host beside it: no function starts after the deadline of its run, and a function that throws says why."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess

APP = """
import json, os, time
from pathlib import Path
import azure.functions as func

if Path("{folder}/broken").exists():
    raise ImportError("told not to start")

app = func.FunctionApp()


def work(order):
    with open("{folder}/starts", "a") as file:
        file.write(order.get("name", "") + "\\n")
    if order.get("ends"):
        os._exit(3)
    time.sleep(order.get("seconds", 0))
    if order.get("throws"):
        raise ValueError("no such column: " + order["throws"])
    return {{name: os.environ.get(name) for name in order.get("shows", [])}}


@app.route("work", methods=["POST"])
def call(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(work(req.get_json())), mimetype="application/json")


@app.service_bus_topic_trigger("message", topic_name="work", subscription_name="worker", connection="ServiceBusConnection")
@app.service_bus_topic_output("result", topic_name="automation-results", connection="ServiceBusConnection")
def take(message: func.ServiceBusMessage, result: func.Out[str]) -> None:
    event = json.loads(message.get_body())
    attributes = {{name: event[name] for name in ("subject", "correlationid", "invocationtoken")}}
    data = {{"status": "succeeded", "output": work(event["data"])}}
    known = {{"specversion": "1.0", "id": event["id"], "source": "/app", "type": "automation.result", "causationid": event["id"]}}
    result.set(json.dumps({{**attributes, **known, "data": data}}))
"""
CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: over.http}
spec:
  deadline: 1m
  input: {type: object, properties: {throws: {type: string, writeOnly: true}}}
  targets: [{name: call, http: {app: late-functions, path: /api/work}}]
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: topic.work}
spec: {deadline: 1m, targets: [{name: message, topic: {name: work}}]}
"""
POLICIES = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: late}
spec:
  policies:
    timeouts: {call: 30s}
    retries: {some: {policy: constant, duration: 100ms, maxRetries: 2, matching: {httpStatusCodes: "408,429,500-599"}}}
  targets: {apps: {late-functions: {timeout: call, retry: some}}}
"""


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """A running bridge with the app above, which has one thread for its functions."""
    if not (ROOT / ".venv-functions").exists():
        assert not os.environ.get("CI"), "make setup makes .venv-functions"
        pytest.skip("there is no .venv-functions: make setup")
    app = tmp_path / "apps" / "late"
    app.mkdir(parents=True)
    (app / "function_app.py").write_text(APP.format(folder=tmp_path))
    for name, text in (("automations.yaml", CATALOGUE), ("resiliency.yaml", POLICIES)):
        (tmp_path / name).write_text(text)
    config = f"""
catalogue: {tmp_path / "automations.yaml"}
resiliency: {tmp_path / "resiliency.yaml"}
entities: {HERE / "servicebus.json"}
function_apps: {{elsewhere: {{url: "http://127.0.0.1:1", key_env: ELSEWHERE_KEY}}}}
"""
    secrets = {"APP_API_TOKEN": "a", "DAPR_API_TOKEN": "b", "ELSEWHERE_KEY": "c", "PYTHON_THREADPOOL_THREAD_COUNT": "1"}
    async with BridgeProcess(tmp_path / "data", config, ("--functions", str(tmp_path / "apps"), "--functions-port", "0"), secrets) as made:
        yield made


async def run(bridge: BridgeProcess, automation: str, order: dict[str, Any], seconds: float = 60) -> Any:
    """The run after its end; it has so many seconds."""
    deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    headers = {"X-Deadline": deadline, "Prefer": "wait=50"}
    path = f"/v1/automations/{automation}/requests"
    async with aiohttp.ClientSession(bridge.url) as http, http.post(path, json=order, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def starts(bridge: BridgeProcess) -> list[str]:
    file = bridge.data_dir.parent / "starts"
    return file.read_text().split() if file.exists() else []


def log(bridge: BridgeProcess) -> str:
    return (bridge.data_dir / "functions.log").read_text()


def environment_of_the_host(bridge: BridgeProcess) -> str:
    """As its functions could read it; empty where the system does not show it."""
    host = json.loads((bridge.data_dir / "functions.json").read_text())["late-functions"]["pid"]
    file = Path(f"/proc/{host}/environ")
    return file.read_text() if file.exists() else ""


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("automation", ["over.http", "topic.work"])
async def test_work_that_waits_for_a_busy_worker_until_its_deadline_never_starts(bridge: BridgeProcess, automation: str) -> None:
    busy = asyncio.create_task(run(bridge, "over.http", {"name": "busy", "seconds": 3}))
    await until(lambda: starts(bridge) == ["busy"])
    late = await run(bridge, automation, {"name": "late"}, seconds=1)
    timely = await run(bridge, automation, {"name": "timely"})
    assert [late["status"], timely["status"], (await busy)["status"]] == ["TimedOut", "Succeeded", "Succeeded"]
    await until(lambda: "was not called, because its deadline had passed" in log(bridge))
    assert starts(bridge) == ["busy", "timely"]


async def test_work_that_waits_for_a_worker_to_come_back_until_its_deadline_never_starts(bridge: BridgeProcess) -> None:
    assert (await run(bridge, "topic.work", {"name": "first"}))["status"] == "Succeeded"
    broken = bridge.data_dir.parent / "broken"
    broken.touch()
    assert (await run(bridge, "over.http", {"name": "ends", "ends": True}, seconds=3))["status"] in ("Failed", "TimedOut")
    assert (await run(bridge, "topic.work", {"name": "late"}, seconds=1))["status"] == "TimedOut"
    await until(lambda: "was not called, because its deadline had passed" in log(bridge))
    broken.unlink()
    assert (await run(bridge, "topic.work", {"name": "timely"}))["status"] == "Succeeded"
    assert starts(bridge) == ["first", "ends", "timely"]


async def test_a_call_that_throws_fails_its_run_with_the_exception_and_the_place_of_the_log(bridge: BridgeProcess) -> None:
    ended = await run(bridge, "over.http", {"throws": "hunter2hunter2"})
    error = ended["error"]
    assert (ended["status"], error["code"], error["message"]) == ("Failed", "ValueError", "no such column: ***")
    assert error["hint"].startswith("data/functions.log has the stack trace, under invocation ")
    assert [attempt["code"] for attempt in ended["invocations"][0]["attempts"]] == ["ValueError"] * 3
    assert error["hint"].rpartition(" ")[2].strip(".") in log(bridge)


async def test_a_message_whose_function_throws_fails_its_run_with_the_exception_and_the_place_of_the_log(bridge: BridgeProcess) -> None:
    ended = await run(bridge, "topic.work", {"throws": "price"})
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "GaveUp")
    assert "failed with ValueError: no such column: price. data/functions.log has the stack trace" in ended["error"]["message"]


async def test_functions_do_not_see_the_secrets_of_the_bridge(bridge: BridgeProcess) -> None:
    names = ["APP_API_TOKEN", "DAPR_API_TOKEN", "ELSEWHERE_KEY", "PATH"]
    ended = await run(bridge, "over.http", {"shows": names})
    assert {name for name, value in ended["output"].items() if value is not None} == {"PATH"}
    assert not [name for name in names[:3] if f"{name}=" in environment_of_the_host(bridge)]
