"""The bridge ends at a named place, as if killed; the next one finishes what it finds (docs/reliability.md).

After each: one ending, its reply, invocations that had ended not run again. Effects are counted at the function.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bridge.crashpoints import EXIT_CODE, CrashPoint
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.runtimes import Runtime
from tests.acceptance.scripted import Scripted
from tests.acceptance.worker import Worker, working

#: Tried in test_deadletters.py.
OF_REPLAYS = {CrashPoint.REPLAY_CLAIMED_NOT_PUBLISHED, CrashPoint.REPLAY_PUBLISHED_NOT_CONFIRMED}
LAST_THREE = (CrashPoint.CALLED_NOT_SAVED, CrashPoint.ENDED_NOT_REPLIED, CrashPoint.REPLIED_NOT_ACKED)
#: The automation whose request passes the point in a way that tells.
PASSES = [
    (CrashPoint.PUBLISHED_NOT_CREATED, "echo"),
    (CrashPoint.CREATED_NOT_SCHEDULED, "echo"),
    (CrashPoint.CREATED_NOT_SCHEDULED, "topic.two"),
    (CrashPoint.SCHEDULED_NOT_DISPATCHED, "topic.two"),
    (CrashPoint.HALF_DISPATCHED, "topic.two"),
    (CrashPoint.ATTEMPT_SAVED_NOT_CALLED, "brisk"),
    (CrashPoint.ATTEMPT_SAVED_NOT_CALLED, "topic.two"),
    *((point, automation) for point in LAST_THREE for automation in ("brisk", "topic.two")),
]


@pytest.fixture
async def worker(runtime: Runtime, bridge: BridgeProcess) -> AsyncIterator[Worker]:
    async with working(lambda: runtime.bus(bridge), "pair/worker") as answering:
        yield answering


async def start_again(bridge: BridgeProcess, **environment: str) -> None:
    """A new process, on the data and the port of the one before."""
    if bridge.process is not None and bridge.process.returncode is None:
        await bridge.stop()
    bridge.environment = {name: value for name, value in bridge.environment.items() if name != "BRIDGE_CRASH_AT"} | environment
    await bridge.start()


async def ends_here(bridge: BridgeProcess) -> None:
    assert bridge.process is not None
    assert await asyncio.wait_for(bridge.process.wait(), 20) == EXIT_CODE


async def ask(bridge: BridgeProcess, automation: str, correlation_id: str, method: str = "POST") -> None:
    """Ask, or cancel; the answer may be lost with the process."""
    path = f"/v1/automations/{automation}/requests" if method == "POST" else f"/v1/requests/{correlation_id}"
    body = {"json": {"text": correlation_id}} if method == "POST" else {}
    async with aiohttp.ClientSession(bridge.url, headers={"X-Correlation-Id": correlation_id}) as http:
        with contextlib.suppress(aiohttp.ClientError):
            answer = await http.request(method, path, **body)
            await answer.read()


async def ended(bridge: BridgeProcess, correlation_id: str) -> Any:
    """The run at its end; there may be none until its request comes once more."""
    async with aiohttp.ClientSession(bridge.url) as http, asyncio.timeout(30):
        while True:
            async with http.get(f"/v1/requests/{correlation_id}?wait=30") as answer:
                if answer.status == 200:
                    return await answer.json()
            await asyncio.sleep(0.05)


async def replies(runtime: Runtime, bridge: BridgeProcess, correlation_id: str) -> set[tuple[str, str]]:
    """The distinct replies of a run, as (id, type): read until there is one, and that of another run that was asked for later."""
    await ask(bridge, "echo", "later")
    await ended(bridge, "later")
    found: dict[str, set[tuple[str, str]]] = {}
    async with runtime.bus(bridge) as bus:
        while found.keys() != {correlation_id, "later"}:
            reply, _ = await bus.receive("automation-replies/requesters")
            found.setdefault(reply["correlationid"], set()).add((reply["id"], reply["type"]))
    return found[correlation_id]


def effects(run: Any, app: Scripted, worker: Worker) -> Counter[str]:
    """How often each invocation was seen at its function."""
    http = Counter(headers["x-invocation-id"] for _, headers, _ in app.calls if headers["x-correlation-id"] == run["correlationId"])
    return http + Counter({name: count for name, count in worker.effects.items() if name.startswith(run["correlationId"])})


def assert_repeated_only_what_is_not_known(run: Any, seen: Counter[str]) -> None:
    for part in run["invocations"]:
        *before, _ = part["attempts"]
        assert {attempt["outcome"] for attempt in before} <= {"Unknown"}
        assert 1 <= seen[f"{run['correlationId']}/{part['target']}"] <= len(part["attempts"]) <= 2


async def outlived(bridge: BridgeProcess, point: CrashPoint, automation: str) -> Any:
    """The run `r-1` as a second process ended it, after the first one had come to the point."""
    await start_again(bridge, BRIDGE_CRASH_AT=point)
    await ask(bridge, automation, "r-1")
    await ends_here(bridge)
    await start_again(bridge)
    return await ended(bridge, "r-1")


@pytest.mark.parametrize(("point", "automation"), PASSES)
async def test_a_run_outlives_the_end_of_the_process_at(
    runtime: Runtime, bridge: BridgeProcess, app: Scripted, worker: Worker, point: CrashPoint, automation: str
) -> None:
    run = await outlived(bridge, point, automation)
    assert run["status"] == "Succeeded"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.succeeded")}
    assert_repeated_only_what_is_not_known(run, effects(run, app, worker))


@pytest.mark.parametrize("point", [CrashPoint.ENDED_NOT_REPLIED, CrashPoint.REPLIED_NOT_ACKED])
@pytest.mark.parametrize("automation", ["brisk", "topic.two"])
async def test_invocations_that_had_ended_are_not_run_again(
    runtime: Runtime, bridge: BridgeProcess, app: Scripted, worker: Worker, point: CrashPoint, automation: str
) -> None:
    run = await outlived(bridge, point, automation)
    await replies(runtime, bridge, "r-1")
    assert set(effects(run, app, worker).values()) == {1}


@pytest.mark.parametrize("point", LAST_THREE)
async def test_a_run_that_its_deadline_ends_outlives_the_end_of_the_process_at(
    runtime: Runtime, bridge: BridgeProcess, point: CrashPoint
) -> None:
    run = await outlived(bridge, point, "topic.unheard")
    assert run["status"] == "TimedOut"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.timedout")}


@pytest.mark.parametrize("point", LAST_THREE)
async def test_a_run_that_a_wish_ends_outlives_the_end_of_the_process_at(
    runtime: Runtime, bridge: BridgeProcess, point: CrashPoint
) -> None:
    await start_again(bridge, BRIDGE_CRASH_AT=point)
    await ask(bridge, "topic.two", "r-1")
    await ask(bridge, "topic.two", "r-1", "DELETE")
    await ends_here(bridge)
    await start_again(bridge)
    run = await ended(bridge, "r-1")
    assert run["status"] == "Canceled"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.canceled")}


def test_every_point_of_the_bridge_has_its_test() -> None:
    assert {point for point, _ in PASSES} | OF_REPLAYS == set(CrashPoint)
