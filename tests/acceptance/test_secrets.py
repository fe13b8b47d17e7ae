"""Secrets are marked, every flow is driven with them, and then nothing that anybody can see may hold a mark."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.otlp_receiver import receiving
from tests.acceptance.runtimes import Bus, Runtime

API_TOKEN, FUNCTION_KEY = "marked-api-token", "marked-function-key"
INPUT = {
    "user": "root",
    "password": 'marked-"quoted"\\password',
    "login": {"pin": "marked-pin", "host": "web-17"},
    "keys": [{"key": "-----BEGIN marked-key-----\nmarked-line-two\n"}, {"key": "marked-kéy-3"}],
}
#: What must not be seen: the parts of the input's secrets that no escaping or folding of white space changes, and the keys of the doors.
MARKS = ["marked-pin", "quoted", "marked-key", "marked-line-two", "marked-k", API_TOKEN, FUNCTION_KEY, "marked-wrong-token"]

CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: NAME}
spec:
  deadline: 20s
  input: &input
    type: object
    required: [user]
    properties:
      user: {type: string}
      password: {type: string, writeOnly: true}
      login: {properties: {pin: {type: string, writeOnly: true}, host: {type: string}}}
      keys: {items: {properties: {key: {type: string, writeOnly: true}}}}
  targets: [TARGET]
"""
TARGETS = {
    "echo": "{name: only, http: {app: scripted, path: /api/echo}}",
    "fail": "{name: only, http: {app: scripted, path: /api/fail}}",
    "slow": "{name: only, http: {app: scripted, path: /api/slow}}",
    "topic.work": "{name: only, topic: {name: work, attempts: 2}}",
}
EVENT = {"specversion": "1.0", "source": "/test", "type": "automation.requested", "data": INPUT}


@dataclass
class Function:
    """A function app without discretion: it says again all that it was told."""

    url: str = ""
    called: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        told = {"input": await request.json(), "headers": dict(request.headers)}
        assert told["input"] == INPUT
        self.tokens.append(request.headers["x-invocation-token"])
        self.called.set()
        if request.path == "/api/echo":
            return web.json_response(told)
        if request.path == "/api/slow":
            await asyncio.sleep(30)
        said = json.dumps(told)
        return web.json_response({"code": INPUT["password"], "message": said, "hint": said}, status=422)


@asynccontextmanager
async def served() -> AsyncIterator[Function]:
    function = Function()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", function.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    function.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield function
    await runner.cleanup()


@dataclass
class Driver:
    """Calls the API and keeps every answer, header and status line it ever got."""

    http: aiohttp.ClientSession
    seen: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        async with self.http.request(method, path, **arguments) as answer:
            body = await answer.text()
            self.seen.append(f"{method} {path} {answer.status} {dict(answer.headers)} {body}")
            return json.loads(body) if "json" in answer.content_type and body else body

    async def ask(self, automation: str, correlation_id: str, wait: int = 0) -> Any:
        headers = {"X-Correlation-Id": correlation_id, **({"Prefer": f"wait={wait}"} if wait else {})}
        return await self.call("POST", f"/v1/automations/{automation}/requests", json=INPUT, headers=headers)

    async def letters(self, count: int) -> list[Any]:
        for _ in range(200):
            items: list[Any] = (await self.call("GET", "/v1/deadletters"))["items"]
            if len(items) >= count:
                return items
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(items)} dead letters instead of {count}")


async def over_http(driver: Driver, function: Function) -> None:
    """Success, failure, conflict, bad input, a wrong token, a cancel, a rerun, and every way to look."""
    done = await driver.ask("echo", "done", wait=10)
    assert (done["status"], done["input"]["user"], done["input"]["password"]) == ("Succeeded", "root", "***")
    assert done["output"]["input"] == done["input"] | {"keys": [{"key": "***\n***\n"}, {"key": "***"}]}
    failed = await driver.ask("fail", "failed", wait=10)
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "***")
    await driver.call("POST", "/v1/requests/failed/rerun", headers={"Prefer": "wait=10"})
    conflict = await driver.ask("fail", "done")
    assert conflict["code"] == "CorrelationConflict"
    wrong = {"user": 5, "password": [INPUT["password"]], "login": {"pin": {"marked-pin": 1}}, "keys": [{"key": 5}]}
    assert (await driver.call("POST", "/v1/automations/echo/requests", json=wrong))["code"] == "InvalidInput"
    assert (await driver.call("GET", "/v1/requests", headers={"Authorization": "Bearer marked-wrong-token"}))["code"] == "Unauthorized"
    function.called.clear()
    await driver.ask("slow", "canceled")
    await function.called.wait()
    await driver.call("DELETE", "/v1/requests/canceled")
    await driver.call("GET", "/v1/requests/canceled?wait=10")
    for path in (
        "/v1/requests/done/output",
        "/v1/requests/failed/output",
        "/v1/requests/done/events",
        "/v1/requests/failed",
        "/v1/automations",
    ):
        await driver.call("GET", path)


def result(work: dict[str, Any], number: int, **data: Any) -> dict[str, Any]:
    carried = {name: work[name] for name in ("subject", "correlationid", "invocationtoken")}
    return {**EVENT, **carried, "id": f"result-{number}", "type": "automation.result", "causationid": work["id"], "data": data}


async def over_the_bus(driver: Driver, runtime: Runtime, bridge: BridgeProcess, bus: Bus, tokens: list[str]) -> None:
    """Work given up; progress, a failure that is tried again, a result and a late one; and events that lead nowhere."""
    said = f"I was told {json.dumps(INPUT)} and {INPUT['keys'][0]['key']}"  # type: ignore[index]  # a list of mappings
    await driver.ask("topic.work", "given-up")
    await runtime.give_up(bridge, "work/worker")
    await driver.ask("topic.work", "worked")
    for number in (1, 2):
        work, _ = await bus.receive("work/worker")
        tokens.append(work["invocationtoken"])
        telling = f"{said} {work['invocationtoken']}"
        await bus.send_event("automation-results", result(work, 10 + number, status="running", progress={"percent": 5, "message": said}))
        failure = {"code": "Busy", "message": telling, "hint": telling, "retriable": True}
        await bus.send_event("automation-results", result(work, number, status="failed", error=failure))
    await driver.call("GET", "/v1/requests/worked?wait=20")
    await bus.send_event("automation-results", result(work, 3, status="succeeded", output=telling))
    await bus.send_event("automation-results", result(work, 4, status="succeeded", output=telling) | {"causationid": "gone/only"})
    await bus.send_event("automation-results", result(work, 5, status="no status", output=telling))

    await bus.send_event("automation-requests", {**EVENT, "id": "done", "subject": "echo", "data": {**INPUT, "user": "other"}})
    await bus.send_event("automation-requests", {**EVENT, "id": "x", "subject": "echo", "source": ""})
    await bus.send_event("automation-requests", {**EVENT, "id": "c d", "subject": "echo", "source": ""})
    await bus.send_event("automation-requests", {**EVENT, "id": "a b", "subject": "misspelt"})
    letters = await driver.letters(6)
    assert {letter["reason"] for letter in letters} == {"Malformed", "GaveUp", "CorrelationConflict", "InvalidCorrelationId"}
    for letter in letters:
        await driver.call("GET", f"/v1/deadletters/{letter['id']}")
        await driver.call("POST", f"/v1/deadletters/{letter['id']}/replay")
    await driver.letters(8)
    assert (await driver.call("GET", "/v1/requests/x?wait=10"))["error"]["code"] == "Malformed"
    for path in ("/v1/requests/worked", "/v1/requests/given-up", "/v1/requests?limit=200", "/metrics", "/openapi.json", "/healthz/ready"):
        await driver.call("GET", path)


def commands() -> str:
    """What every user of the machine sees of every process."""
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def shown(kept: dict[str, Any]) -> str:
    """A record of the store without the parts that hold what was given as it was given: the input, tokens and the dead letter's body."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(part) for name, part in value.items() if name not in ("input", "token", "body")}
        return [without(part) for part in value] if isinstance(value, list) else value

    return json.dumps(without(kept), ensure_ascii=False)


def records(store: Mapping[str, str]) -> list[str]:
    found = [value for key, value in store.items() if key.startswith(("run/", "deadletter/"))]
    assert len(found) > 8
    return [shown(json.loads(value)) for value in found]


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_no_secret_is_ever_seen(runtime: Runtime, tmp_path: Path, log_format: str) -> None:
    catalogue = [CATALOGUE.replace("NAME", name).replace("TARGET", target) for name, target in TARGETS.items()]
    (tmp_path / "marked.yaml").write_text("---".join(catalogue))
    async with served() as function, receiving() as collector:
        config = scripted_config(
            function.url,
            f"tokens: [{{name: ada, sha256: {hashlib.sha256(API_TOKEN.encode()).hexdigest()}, roles: [admin]}}]",
            f"catalogue: {tmp_path / 'marked.yaml'}",
            f"log_format: {log_format}",
            "log_level: debug",
        )
        bridge = runtime.bridge(tmp_path, config, {"SCRIPTED_KEY": FUNCTION_KEY, **collector.environment})
        async with bridge, aiohttp.ClientSession(bridge.url, headers={"Authorization": f"Bearer {API_TOKEN}"}) as http:
            driver = Driver(http)
            await over_http(driver, function)
            async with runtime.bus(bridge) as bus:
                await over_the_bus(driver, runtime, bridge, bus, function.tokens)
            async with runtime.bus(bridge) as bus:
                driver.seen += [json.dumps(await bus.receive("automation-replies/requesters")) for _ in range(6)]
            running = commands()
            secrets = runtime.secrets(bridge)
            stored = await runtime.records(bridge)

    marks = [*MARKS, *function.tokens, *secrets]
    seen = {
        "answers and replies": driver.seen,
        "logs": [line for log in runtime.logs(bridge) for line in log.splitlines()],
        "processes": running.splitlines(),
        "store": records(stored),
        "spans": collector.raw,
    }
    assert len(collector.spans) > 20
    found = {(place, mark): part for place, parts in seen.items() for part in parts for mark in marks if mark in part}
    assert found == {}
    everything = b"".join(file.read_bytes() for file in runtime.files(bridge))
    assert [mark for mark in (API_TOKEN, FUNCTION_KEY, *secrets) if mark.encode() in everything] == []
    assert b"marked-pin" in everything, "the input itself is kept, or it could not be sent again"
