"""Whatever it is asked for, the bridge answers others meanwhile. A health check may wait for a moment, never for the whole of the work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.queue_client import queue
from tests.acceptance.scripted import KEY, Scripted
from tests.benchmarks.lookup.directory import make

RUNS = 50_000
MOMENT = 1.0  #: seconds; a busy machine needs some, and work that is not divided takes several times as much
LARGE = 1_000_000  #: bytes

NEST = {"$ref": "#/$defs/nest"}
TWICE = [{"type": "array", "items": NEST}, {"type": "array", "items": NEST, "minItems": 1}]


def doubling(depth: int, last: dict[str, Any]) -> dict[str, Any]:
    """A definition that names the next one twice, and so on."""
    links = {f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(depth)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{depth}": last}}


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def linked(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = {"next": value}
    return value


A = {"anyOf": [{"properties": {"next": {"$ref": "#/$defs/b"}}, "required": ["next"]}] * 2}
B = {"oneOf": [{"properties": {"next": {"$ref": "#/$defs/a"}}, "required": ["next"]}] * 2}
KNOWN_UNEVALUATED = {
    "anyOf": [{"properties": {"next": NEST}}, {"properties": {"next": NEST}, "required": ["next"]}],
    "unevaluatedProperties": False,
}

#: By name: a schema, an input that is refused with 422, and what else the problem's code may be.
HOSTILE: dict[str, tuple[dict[str, Any], Any]] = {
    "any-of-itself": ({"$ref": "#/$defs/nest", "$defs": {"nest": {"anyOf": TWICE}}}, {"x": nested(60, 1)}["x"]),
    "one-of-itself-in-items": ({"items": {"$ref": "#/$defs/nest"}, "$defs": {"nest": {"oneOf": TWICE}}}, nested(100, 1)),
    "each-other": ({"$ref": "#/$defs/a", "$defs": {"a": A, "b": B}}, linked(80, 1)),
    "not-not": ({"$ref": "#/$defs/nest", "$defs": {"nest": {"allOf": [{"not": {"not": {"anyOf": TWICE}}}]}}}, nested(51, 1)),
    "unevaluated": ({"$ref": "#/$defs/nest", "$defs": {"nest": KNOWN_UNEVALUATED}}, linked(60, {"y": 1})),
    "doubling": (doubling(40, {"type": "object"}), "x"),
    "going-back": ({"items": {"pattern": r"^((\w+\s?)+)\1$"}}, ["a " * 30 + f"!{number}" for number in range(10_000)]),
    "very-many": ({"items": {"type": "string"}}, [0] * 300_000),
}


def catalogue() -> str:
    documents = (
        {
            "apiVersion": "bridge/v1",
            "kind": "Automation",
            "metadata": {"name": name},
            "spec": {"deadline": "1m", "input": schema, "targets": [{"name": "echo", "http": {"app": "scripted", "path": "/api/echo"}}]},
        }
        for name, (schema, _) in HOSTILE.items()
    )
    return "\n---\n".join(map(json.dumps, documents))


async def longest_wait(bridge: BridgeProcess, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> float:
    """The longest that a health check took while the work was done, in seconds."""
    longest = 0.0

    async def check() -> None:
        nonlocal longest
        async with aiohttp.ClientSession(bridge.url) as http:
            while True:
                begun = time.perf_counter()
                async with http.get("/healthz/live") as answer:
                    assert answer.status == 200
                longest = max(longest, time.perf_counter() - begun)
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as both, aiohttp.ClientSession(bridge.url) as http:
        checking = both.create_task(check())
        await work(http)
        await asyncio.sleep(0.05)
        checking.cancel()
    return longest


async def walk(http: aiohttp.ClientSession, path: str) -> int:
    """Read a list to its end; returns how many items it had."""
    count, cursor = 0, ""
    while True:
        async with http.get(path + cursor) as answer:
            page = await answer.json()
        count += len(page["items"])
        if not page.get("nextCursor"):
            return count
        cursor = f"&cursor={page['nextCursor']}"


@pytest.fixture
async def full(app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """A bridge that holds many runs, and dead letters of them."""
    made = await make(tmp_path, RUNS)
    async with BridgeProcess(made.path, scripted_config(app.url), environment={"SCRIPTED_KEY": KEY}) as process:
        yield process


async def test_the_audit_and_lists_of_many_runs_keep_nobody_waiting(full: BridgeProcess) -> None:
    async def audit(http: aiohttp.ClientSession) -> None:
        async with http.get("/v1/audit") as answer:
            assert (await answer.json())["accepted"] == RUNS

    async def lists_that_match_nothing(http: aiohttp.ClientSession) -> None:
        for filtered in ("requests?status=TimedOut", "requests?automation=none", "deadletters?reason=None", "deadletters?automation=none"):
            assert await walk(http, f"/v1/{filtered}&limit=200") == 0

    async def whole_lists(http: aiohttp.ClientSession) -> None:
        assert await walk(http, "/v1/deadletters?limit=200") == RUNS // 100

    for work in (audit, lists_that_match_nothing, whole_lists):
        waited = await longest_wait(full, work)
        assert waited < MOMENT, work.__name__


async def test_lists_of_large_dead_letters_and_large_runs_keep_nobody_waiting(bridge: BridgeProcess, runtime_name: str) -> None:
    bad = {"specversion": "1.0", "id": "b", "source": "/test", "type": "automation.requested", "subject": "echo"}
    async with queue(bridge.data_dir) as sending:
        for number in range(30):
            await sending.send_event("automation-requests", {**bad, "correlationid": f"{number} ?", "data": [{}] * 250_000})

    async def large_letters(http: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(30):
            while await walk(http, "/v1/deadletters?limit=200") < 30:
                await asyncio.sleep(0.2)
        assert await walk(http, "/v1/deadletters?event=false&limit=200") == 30
        assert await walk(http, "/v1/deadletters?automation=none&limit=200") == 0

    async def large_runs(http: aiohttp.ClientSession) -> None:
        for number in range(30):
            headers = {"X-Correlation-Id": f"large-{number}", "Prefer": "wait=20"}
            async with http.post("/v1/automations/echo/requests", json={"text": "x" * LARGE}, headers=headers) as answer:
                assert answer.status == 200
        assert await walk(http, "/v1/requests?limit=200") == 30

    for work in (large_letters, large_runs):
        waited = await longest_wait(bridge, work)
        assert waited < MOMENT, work.__name__


async def test_no_pair_of_schema_and_input_keeps_anybody_waiting_or_ends_the_process(app: Scripted, tmp_path: Path) -> None:
    (tmp_path / "hostile.yaml").write_text(catalogue())
    config = scripted_config(app.url, "data_limit: 1GiB").replace(
        str(Path(__file__).parent / "automations.yaml"), str(tmp_path / "hostile.yaml")
    )
    process = BridgeProcess(tmp_path / "data", config, environment={"SCRIPTED_KEY": KEY})

    async def by_http(http: aiohttp.ClientSession) -> None:
        for name, (_, value) in HOSTILE.items():
            async with http.post(f"/v1/automations/{name}/requests", json=value) as answer:
                told = await answer.json()
                assert (answer.status, told["code"] in ("InvalidInput", "InputTooComplex")) == (422, True), (name, told)

    async def by_topic(http: aiohttp.ClientSession) -> None:
        async with queue(process.data_dir) as sending:
            for name, (_, value) in HOSTILE.items():
                event = {"specversion": "1.0", "id": name, "source": "/t", "type": "automation.requested", "subject": name, "data": value}
                await sending.send_event("automation-requests", event)
        for name in HOSTILE:
            async with asyncio.timeout(60):
                while True:
                    async with http.get(f"/v1/requests/{name}") as answer:
                        if answer.status == 200:
                            run = await answer.json()
                            break
                    await asyncio.sleep(0.1)
            assert (run["status"], run["error"]["code"] in ("InvalidInput", "InputTooComplex")) == ("Failed", True), (name, run["error"])

    async with process:
        for work in (by_http, by_topic):
            waited = await longest_wait(process, work)
        assert waited < MOMENT, work.__name__
