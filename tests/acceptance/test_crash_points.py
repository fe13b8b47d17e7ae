"""The bridge ends at a step, as if killed; the next one finishes what it finds (docs/reliability.md).

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

from bridge import telemetry
from bridge.client import BridgeClient
from bridge.crashpoints import EXIT_CODE
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.runtimes import Runtime
from tests.acceptance.scripted import Scripted
from tests.acceptance.worker import Worker, working

#: The automation whose request passes the step in a way that tells.
PASSES = [
    ("run.accepted", "echo"),
    ("run.accepted", "topic.two"),
    ("run.scheduled", "echo"),
    ("run.scheduled", "brisk"),
    ("run.scheduled", "topic.two"),
    ("run.dispatched", "topic.two"),
    ("attempt.started", "echo"),
    ("attempt.started", "brisk"),
    ("run.ended", "echo"),
    *(
        (step, automation)
        for step in ("attempt.answered", "attempt.ended", "run.ended", "run.replied")
        for automation in ("brisk", "topic.two")
    ),
]
#: The steps of work that is sent a second time, and how often they are passed until then, on the embedded runtime and on Dapr.
OF_A_SECOND_DISPATCH = {"run.dispatching": {"embedded": 1, "dapr": 2}, "run.dispatched": {"embedded": 2, "dapr": 2}}
OF_A_REQUEST_ON_THE_BUS = "run.requested"
OF_REFUSALS = ("run.refused", "run.ended", "run.replied")
OF_A_DEADLINE = ("timer.came", "run.ended", "run.replied")
OF_A_CANCEL = ("run.canceling", "event.rescheduled", *OF_A_DEADLINE)
OF_REPLAYS = {"deadletter.claimed", "deadletter.published"}  #: tried in test_deadletters.py and tests/dapr/test_replays.py
OF_A_DEAD_LETTER = "deadletter.kept"
OF_FOLLOWED_WORK = "work.terminated"  #: tried in test_following.py
#: Whoever ends here has left nothing that is half done.
LEAVE_NOTHING = {"run.repeated", "progress", "result.late", "deadletter.replayed", "deadletter.discarded", "retry", "sweep"}
#: Its input does not fit the schema.
BAD_REQUEST = {
    "specversion": "1.0",
    "id": "r-1",
    "source": "/test",
    "type": "automation.requested",
    "subject": "echo",
    "correlationid": "r-1",
    "data": {"text": 7},
}


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


async def ask(bridge: BridgeProcess, automation: str, correlation_id: str, method: str = "POST", value: object = None) -> None:
    """Ask, or cancel; the answer may be lost with the process."""
    path = f"/v1/automations/{automation}/requests" if method == "POST" else f"/v1/requests/{correlation_id}"
    body = {"json": value or {"text": correlation_id}} if method == "POST" else {}
    async with aiohttp.ClientSession(bridge.url, headers={"X-Correlation-Id": correlation_id}) as http:
        with contextlib.suppress(aiohttp.ClientError):
            answer = await http.request(method, path, **body)
            await answer.read()


async def under_way(bridge: BridgeProcess, correlation_id: str) -> None:
    """Wait until all work of the run has been sent."""
    async with aiohttp.ClientSession(bridge.url) as http, asyncio.timeout(10):
        while True:
            async with http.get(f"/v1/requests/{correlation_id}") as answer:
                attempts = [part["attempts"] for part in (await answer.json())["invocations"]]
            if all(each and each[-1]["outcome"] == "Accepted" for each in attempts):
                return
            await asyncio.sleep(0.02)


async def send(runtime: Runtime, bridge: BridgeProcess, event: dict[str, Any]) -> None:
    """Send a request to the topic; whether it was taken may not be told before the bridge ends."""
    async with runtime.bus(bridge) as bus:
        with contextlib.suppress(OSError, ValueError):  # on the embedded runtime the way onto the bus ends with the bridge
            await bus.send_event("automation-requests", event)


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


async def assert_the_audit_fits(bridge: BridgeProcess) -> None:
    """Every run has ended, and every reply is noted, also where the process ended between a reply and its note."""
    async with BridgeClient(bridge.url) as client, asyncio.timeout(10):
        while (report := await client.audit())["repliesDue"]:
            await asyncio.sleep(0.05)
    assert (report["replies"], report["unfinished"], report["misfits"]) == (report["accepted"], 0, [])


async def outlived(bridge: BridgeProcess, step: str, automation: str) -> Any:
    """The run `r-1` as a second process ended it, after the first one had come to the step."""
    await start_again(bridge, BRIDGE_CRASH_AT=step)
    await ask(bridge, automation, "r-1")
    await ends_here(bridge)
    await start_again(bridge)
    return await ended(bridge, "r-1")


@pytest.mark.parametrize(("step", "automation"), PASSES)
async def test_a_run_outlives_the_end_of_the_process_at(
    runtime: Runtime, bridge: BridgeProcess, app: Scripted, worker: Worker, step: str, automation: str
) -> None:
    run = await outlived(bridge, step, automation)
    assert run["status"] == "Succeeded"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.succeeded")}
    assert_repeated_only_what_is_not_known(run, effects(run, app, worker))
    await assert_the_audit_fits(bridge)


async def test_a_request_that_is_on_the_bus_outlives_the_end_of_the_process_before_it_is_a_run(
    runtime: Runtime, bridge: BridgeProcess, app: Scripted, worker: Worker
) -> None:
    run = await outlived(bridge, OF_A_REQUEST_ON_THE_BUS, "topic.two")
    assert run["status"] == "Succeeded"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.succeeded")}
    assert set(effects(run, app, worker).values()) == {1}


@pytest.mark.parametrize("step", OF_A_SECOND_DISPATCH)
async def test_work_that_is_sent_a_second_time_outlives_the_end_of_the_process_at(
    runtime: Runtime, runtime_name: str, bridge: BridgeProcess, step: str
) -> None:
    async with working(lambda: runtime.bus(bridge), "work/worker", fails_first=True) as worker:
        run = await outlived(bridge, f"{step}:{OF_A_SECOND_DISPATCH[step][runtime_name.partition('-')[0]]}", "topic.work")
        assert run["status"] == "Succeeded"
        assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.succeeded")}
    first, *others = run["invocations"][0]["attempts"]
    *unknown, last = others
    assert (first["outcome"], last["outcome"]) == ("Failed", "Succeeded")
    assert {attempt["outcome"] for attempt in unknown} <= {"Unknown"}
    assert 2 <= worker.effects["r-1/worker"] <= len(run["invocations"][0]["attempts"]) <= 3


@pytest.mark.parametrize("step", ["run.ended", "run.replied"])
@pytest.mark.parametrize("automation", ["brisk", "topic.two"])
async def test_invocations_that_had_ended_are_not_run_again(
    runtime: Runtime, bridge: BridgeProcess, app: Scripted, worker: Worker, step: str, automation: str
) -> None:
    run = await outlived(bridge, step, automation)
    await replies(runtime, bridge, "r-1")
    assert set(effects(run, app, worker).values()) == {1}


@pytest.mark.parametrize("step", OF_A_DEADLINE)
async def test_a_run_that_its_deadline_ends_outlives_the_end_of_the_process_at(runtime: Runtime, bridge: BridgeProcess, step: str) -> None:
    run = await outlived(bridge, step, "topic.unheard")
    assert run["status"] == "TimedOut"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.timedout")}
    await assert_the_audit_fits(bridge)


@pytest.mark.parametrize("step", OF_A_CANCEL)
async def test_a_run_that_is_canceled_outlives_the_end_of_the_process_at(runtime: Runtime, bridge: BridgeProcess, step: str) -> None:
    await start_again(bridge, BRIDGE_CRASH_AT=step)
    await ask(bridge, "topic.two", "r-1")
    await under_way(bridge, "r-1")  # otherwise there may be nothing that the cancel has to wait for
    await ask(bridge, "topic.two", "r-1", "DELETE")
    await ends_here(bridge)
    await start_again(bridge)
    run = await ended(bridge, "r-1")
    assert run["status"] == "Canceled"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.canceled")}
    await assert_the_audit_fits(bridge)


async def test_a_request_on_a_topic_outlives_the_end_of_the_process_once_it_is_a_run(
    runtime: Runtime, bridge: BridgeProcess, app: Scripted, worker: Worker
) -> None:
    await start_again(bridge, BRIDGE_CRASH_AT="run.accepted")
    await send(runtime, bridge, {**BAD_REQUEST, "subject": "topic.two", "data": {"text": "r-1"}})
    await ends_here(bridge)
    await start_again(bridge)
    run = await ended(bridge, "r-1")
    assert run["status"] == "Succeeded"
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.succeeded")}
    assert set(effects(run, app, worker).values()) == {1}


@pytest.mark.parametrize("step", OF_REFUSALS)
async def test_a_refusal_of_a_request_on_a_topic_outlives_the_end_of_the_process_at(
    runtime: Runtime, bridge: BridgeProcess, step: str
) -> None:
    await start_again(bridge, BRIDGE_CRASH_AT=step)
    await send(runtime, bridge, BAD_REQUEST)
    await ends_here(bridge)
    await start_again(bridge)
    run = await ended(bridge, "r-1")
    assert (run["status"], run["error"]["code"]) == ("Failed", "InvalidInput")
    assert await replies(runtime, bridge, "r-1") == {(f"r-1/{run['createdAt']}", "automation.failed")}
    await assert_the_audit_fits(bridge)


async def test_a_dead_letter_outlives_the_end_of_the_process_and_is_kept_once(runtime: Runtime, bridge: BridgeProcess) -> None:
    await start_again(bridge, BRIDGE_CRASH_AT=OF_A_DEAD_LETTER)
    await send(runtime, bridge, {**BAD_REQUEST, "type": "order.created"})
    await ends_here(bridge)
    await start_again(bridge)
    await ask(bridge, "echo", "later")
    await ended(bridge, "later")
    async with aiohttp.ClientSession(bridge.url) as http, http.get("/v1/deadletters") as answer:
        assert [letter["reason"] for letter in (await answer.json())["items"]] == ["Malformed"]


def test_every_step_has_its_test_or_leaves_nothing_to_finish() -> None:
    dead_letters = OF_REPLAYS | {OF_A_DEAD_LETTER}
    tried = (
        {step for step, _ in PASSES}
        | set(OF_A_SECOND_DISPATCH)
        | {OF_A_REQUEST_ON_THE_BUS, *OF_REFUSALS, *OF_A_CANCEL, OF_FOLLOWED_WORK}
        | dead_letters
    )
    assert tried | LEAVE_NOTHING == set(telemetry.SENTENCES)
    assert not tried & LEAVE_NOTHING
