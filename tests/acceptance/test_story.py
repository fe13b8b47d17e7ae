"""The log of one run tells its whole story, in order, one line a step, in words."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.runtimes import Bus, Runtime
from tests.acceptance.worker import working

_LINE = re.compile(r"^\S+ (info|warning) +(?P<run>\S+)  (?P<sentence>[^(]+) \((?P<step>[\w.]+)\)(?P<fields>.*)$")
EVENT = {"specversion": "1.0", "id": "r-1", "source": "/test", "type": "automation.requested", "subject": "echo"}


def story(bridge: BridgeProcess, correlation_id: str) -> list[str]:
    """The steps of a run as they stand in the log."""
    lines = [_LINE.match(line) for line in bridge.log().splitlines() if f" {correlation_id}  " in line]
    assert all(lines), "every line is a sentence with its step"
    return [line["step"] for line in lines if line]


async def ask(http: aiohttp.ClientSession, automation: str, value: Any, wait: int = 20) -> None:
    headers = {"X-Correlation-Id": "r-1", "Prefer": f"wait={wait}"}
    async with http.post(f"/v1/automations/{automation}/requests", json=value, headers=headers) as answer:
        await answer.read()


async def told(bridge: BridgeProcess, step: str = "run.replied") -> None:
    """Wait until the log has told of the step."""
    async with asyncio.timeout(20):
        while f"({step})" not in bridge.log():
            await asyncio.sleep(0.01)


async def test_of_a_call_that_is_tried_twice(bridge: BridgeProcess, http: aiohttp.ClientSession) -> None:
    await ask(http, "act", {"act": "broken-once"})
    await told(bridge)
    steps = story(bridge, "r-1")
    steps.remove("run.scheduled")  # a bus may bring the work before it has confirmed that it took it
    assert steps == [
        "run.accepted",
        "attempt.started",
        "attempt.ended",
        "attempt.started",
        "attempt.ended",
        "run.ended",
        "run.replied",
    ]
    assert "outcome=Failed code=Http500 again_in=0.1" in bridge.log()


async def test_of_work_behind_a_topic(runtime: Runtime, bridge: BridgeProcess, http: aiohttp.ClientSession) -> None:
    async with working(lambda: runtime.bus(bridge), "pair/worker"):
        await ask(http, "topic.two", {})
        await told(bridge)
    steps = story(bridge, "r-1")
    assert (steps[:2], steps[-2:]) == (["run.accepted", "run.scheduled"], ["run.ended", "run.replied"])
    assert sorted(steps[2:-2]) == ["attempt.ended", "attempt.ended", "run.dispatched", "run.dispatched"]


async def test_of_a_run_that_is_canceled(bridge: BridgeProcess, http: aiohttp.ClientSession) -> None:
    await ask(http, "topic.unheard", {}, wait=0)
    await told(bridge, "run.scheduled")
    async with http.delete("/v1/requests/r-1") as answer:
        assert answer.status == 202
    await told(bridge)
    steps = [step for step in story(bridge, "r-1") if step != "run.dispatched"]
    assert steps == ["run.accepted", "run.scheduled", "run.canceling", "run.ended", "run.replied"]


async def test_of_a_request_that_is_refused(bridge: BridgeProcess, bus: Bus) -> None:
    await bus.send_event("automation-requests", EVENT | {"data": {"text": 5}})
    await told(bridge)
    assert story(bridge, "r-1") == ["run.refused", "run.ended", "run.replied"]


async def test_of_a_request_that_comes_again(bridge: BridgeProcess, http: aiohttp.ClientSession) -> None:
    await ask(http, "echo", {})
    await told(bridge)
    await ask(http, "echo", {})
    await told(bridge, "run.repeated")
    assert story(bridge, "r-1")[-2:] == ["run.replied", "run.repeated"]
