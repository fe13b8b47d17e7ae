"""Cancel, on real processes: what has not started never does, what runs may finish, what does not listen is left behind.

No test waits for a time: the grace is either over at once or far away, and functions end when the test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, scripted_config
from tests.acceptance.runtimes import Bus, Runtime
from tests.acceptance.scripted import KEY, Scripted
from tests.acceptance.test_topics import result_of

Http = aiohttp.ClientSession
Start = Callable[[str], Awaitable[tuple[Http, Bus]]]
OVER_AT_ONCE, FAR_AWAY = "100ms", "10m"


@pytest.fixture
async def start(runtime: Runtime, app: Scripted, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a bridge with this grace; gives a client of it and a program on its bus."""
    config = scripted_config(app.url).replace(str(HERE / "automations.yaml"), str(HERE / "canceling.yaml"))
    config = config.replace(str(HERE / "resiliency.yaml"), str(HERE / "counting" / "resiliency.yaml"))
    bridge = runtime.bridge(tmp_path, config, {"SCRIPTED_KEY": KEY})
    async with contextlib.AsyncExitStack() as stack:

        async def started(grace: str) -> tuple[Http, Bus]:
            bridge.config = bridge.config.replace("cancel_grace: 1s", f"cancel_grace: {grace}")
            await bridge.start()
            stack.push_async_callback(bridge.stop)
            return await stack.enter_async_context(Http(bridge.url)), await stack.enter_async_context(runtime.bus(bridge))

        yield started
        app.release.set()


async def ask(http: Http, automation: str, correlation_id: str) -> None:
    headers = {"X-Correlation-Id": correlation_id}
    async with http.post(f"/v1/automations/{automation}/requests", json={}, headers=headers) as answer:
        assert answer.status == 202


async def cancel(http: Http, correlation_id: str) -> tuple[int, Any]:
    async with http.delete(f"/v1/requests/{correlation_id}") as answer:
        body = await answer.json()
        return answer.status, body.get("status") if answer.status == 202 else body["code"]


async def ended(http: Http, correlation_id: str) -> Any:
    async with http.get(f"/v1/requests/{correlation_id}?wait=30") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def late_result(http: Http, correlation_id: str) -> Any:
    async with asyncio.timeout(30):
        while "lateResult" not in (part := (await ended(http, correlation_id))["invocations"][0]):
            await asyncio.sleep(0.02)
    return part["lateResult"]


async def called(app: Scripted, correlation_id: str) -> None:
    async with asyncio.timeout(20):
        while not app.count(correlation_id):
            await asyncio.sleep(0.01)


async def test_a_call_that_waits_for_its_turn_never_starts_once_it_is_canceled(start: Start, app: Scripted) -> None:
    http, _ = await start(FAR_AWAY)
    await ask(http, "call", "running")
    await called(app, "running")
    await ask(http, "call", "waiting")
    assert await cancel(http, "waiting") == (202, "Canceling")
    assert (await ended(http, "waiting"))["status"] == "Canceled"
    app.release.set()
    await ask(http, "call", "next")
    assert [(await ended(http, name))["status"] for name in ("running", "next")] == ["Succeeded", "Succeeded"]
    assert app.count("waiting") == 0


async def test_a_call_that_does_not_listen_is_left_behind_after_the_grace_and_its_result_kept(start: Start, app: Scripted) -> None:
    http, _ = await start(OVER_AT_ONCE)
    await ask(http, "call", "r-1")
    await called(app, "r-1")
    await cancel(http, "r-1")
    run = await ended(http, "r-1")
    assert (run["status"], run["error"]["code"], run["invocations"][0]["status"]) == ("Canceled", "Canceled", "Canceled")
    app.release.set()
    assert (await late_result(http, "r-1"))["status"] == "Succeeded"
    assert (await ended(http, "r-1"))["status"] == "Canceled"


async def test_work_behind_a_topic_that_does_not_listen_is_left_behind_and_its_result_kept(start: Start) -> None:
    http, bus = await start(OVER_AT_ONCE)
    await ask(http, "topic.work", "r-1")
    work, _ = await bus.receive("work/worker")
    await cancel(http, "r-1")
    assert (await ended(http, "r-1"))["status"] == "Canceled"
    await bus.send_event("automation-results", result_of(work, status="succeeded", output=7))
    late = await late_result(http, "r-1")
    assert (late["status"], late["output"], (await ended(http, "r-1"))["status"]) == ("Succeeded", 7, "Canceled")


async def test_a_call_that_finishes_all_the_same_has_succeeded(start: Start, app: Scripted) -> None:
    http, _ = await start(FAR_AWAY)
    await ask(http, "call", "r-1")
    await called(app, "r-1")
    await cancel(http, "r-1")
    app.release.set()
    run = await ended(http, "r-1")
    assert (run["status"], [attempt["outcome"] for attempt in run["invocations"][0]["attempts"]]) == ("Succeeded", ["Succeeded"])


async def test_the_rule_that_is_met_meanwhile_ends_the_run_as_succeeded(start: Start) -> None:
    http, bus = await start(FAR_AWAY)
    await ask(http, "topic.any", "r-1")
    work, _ = await bus.receive("pair/worker")
    await cancel(http, "r-1")
    await bus.send_event("automation-results", result_of(work, status="succeeded", output=7))
    run = await ended(http, "r-1")
    assert run["status"] == "Succeeded"
    assert sorted(part["status"] for part in run["invocations"]) == ["Canceled", "Succeeded"]


async def test_a_failure_after_the_cancel_ends_the_run_at_once_and_is_not_tried_again(start: Start) -> None:
    http, bus = await start(FAR_AWAY)
    await ask(http, "topic.work", "r-1")
    work, _ = await bus.receive("work/worker")
    await cancel(http, "r-1")
    failure = {"code": "Stopped", "message": "told to stop", "retriable": True}
    await bus.send_event("automation-results", result_of(work, status="failed", error=failure))
    run = await ended(http, "r-1")
    assert (run["status"], run["invocations"][0]["error"]["code"]) == ("Canceled", "Stopped")
    assert len(run["invocations"][0]["attempts"]) == 1


async def test_asking_twice_is_asking_once(start: Start) -> None:
    http, bus = await start(FAR_AWAY)
    await ask(http, "topic.work", "r-1")
    work, _ = await bus.receive("work/worker")
    assert [await cancel(http, "r-1") for _ in range(2)] == [(202, "Canceling")] * 2
    await bus.send_event("automation-results", result_of(work, status="failed", error={"code": "Stopped", "message": "told to stop"}))
    await ended(http, "r-1")
    assert await kinds_of_replies(http, bus, "r-1") == ["automation.canceled"]


async def kinds_of_replies(http: Http, bus: Bus, correlation_id: str) -> list[str]:
    """Every reply of the run up to the one of a run that is asked for and canceled later."""
    await ask(http, "topic.work", "later")
    work, _ = await bus.receive("work/worker")
    await bus.send_event("automation-results", result_of(work, status="succeeded", output=1))
    found = []
    while (reply := (await bus.receive("automation-replies/requesters"))[0])["correlationid"] != "later":
        found += [reply["type"]] if reply["correlationid"] == correlation_id else []
    return found


async def test_what_has_ended_cannot_be_canceled_and_stays_as_it_is(start: Start) -> None:
    http, bus = await start(FAR_AWAY)
    await ask(http, "topic.work", "r-1")
    work, _ = await bus.receive("work/worker")
    await bus.send_event("automation-results", result_of(work, status="succeeded", output=7))
    before = await ended(http, "r-1")
    assert await cancel(http, "r-1") == (410, "AlreadyEnded")
    assert await ended(http, "r-1") == before


async def test_a_running_function_is_told_when_it_asks_or_reports(start: Start) -> None:
    http, bus = await start(FAR_AWAY)
    await ask(http, "topic.work", "r-1")
    work, _ = await bus.receive("work/worker")
    token = {"x-invocation-token": work["invocationtoken"]}
    told = []
    for _ in range(2):
        async with http.get(work["invocationurl"], headers=token) as asked:
            told.append((await asked.json())["canceled"])
        async with http.post(work["invocationurl"], json={"status": "running", "progress": {"percent": 5}}, headers=token) as reported:
            told.append((await reported.json())["canceled"])
        await cancel(http, "r-1")
    assert told == [False, False, True, True]
