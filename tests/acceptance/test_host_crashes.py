"""The functions host, or a worker of it, ends at a named place, as if killed; another is started, and the work is finished.

After each: one ending, its reply, invocations that had ended not run again. Effects are counted at the function (docs/reliability.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.local.functions.crashpoints import HostCrashPoint
from bridge.local.functions.workers.pyworker.crashpoints import WorkerCrashPoint
from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess
from tests.acceptance.queue_client import queue
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh

CALL, MESSAGE = ("count.call", "call"), ("topic.work", "message")
COUNTING = HERE / "counting"
APPS = {"python": COUNTING / "apps", "powershell": COUNTING / "powershell"}  #: one app in each, which does the same
CONFIG = f"""
catalogue: {COUNTING / "automations.yaml"}
resiliency: {COUNTING / "resiliency.yaml"}
entities: {HERE / "servicebus.json"}
"""
NO_HOST = {"UnknownApp", "ConnectionFailed"}  #: codes of attempts that were made while no host listened
#: Where the host ends, what it does there, and how often the effect of that work may be seen.
HOST_PASSES = [
    (HostCrashPoint.TAKEN_NOT_RUN, MESSAGE, 1),
    (HostCrashPoint.RAN_NOT_SENT, MESSAGE, 2),
    (HostCrashPoint.SENT_NOT_SETTLED, MESSAGE, 1),
    (HostCrashPoint.RAN_NOT_ANSWERED, CALL, 2),
]
WORKER_PASSES = [
    (point, target, effects)
    for point, effects in ((WorkerCrashPoint.TAKEN_NOT_RUN, 1), (WorkerCrashPoint.RAN_NOT_ANSWERED, 2))
    for target in (CALL, MESSAGE)
]


@pytest.fixture(params=list(APPS))
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """Not started yet: a bridge with the counting functions beside it."""
    need((ROOT / ".venv-functions").exists(), "there is no .venv-functions: make setup")
    need(request.param != "powershell" or pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    arguments = ("--functions", str(APPS[request.param]), "--functions-port", "0")
    environment = {"EFFECTS": str(tmp_path / "effects"), **({"BRIDGE_PWSH": str(pwsh())} if request.param == "powershell" else {})}
    made = BridgeProcess(tmp_path / "data", CONFIG, arguments, environment)
    yield made
    (tmp_path / "go").touch()
    await made.stop()


async def start(bridge: BridgeProcess, **environment: str) -> None:
    bridge.environment |= environment
    await bridge.start()


async def ask(bridge: BridgeProcess, automation: str, correlation_id: str, **order: bool) -> None:
    async with aiohttp.ClientSession(bridge.url) as http:
        path, headers = f"/v1/automations/{automation}/requests", {"X-Correlation-Id": correlation_id}
        async with http.post(path, json=order, headers=headers) as answer:
            assert answer.status == 202


async def ended(bridge: BridgeProcess, correlation_id: str) -> Any:
    async with aiohttp.ClientSession(bridge.url) as http, http.get(f"/v1/requests/{correlation_id}?wait=50") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def asked(bridge: BridgeProcess, automation: str, correlation_id: str, **order: bool) -> Any:
    await ask(bridge, automation, correlation_id, **order)
    return await ended(bridge, correlation_id)


async def late_result(bridge: BridgeProcess, correlation_id: str) -> Any:
    async with asyncio.timeout(30):
        while "lateResult" not in (part := (await ended(bridge, correlation_id))["invocations"][0]):
            await asyncio.sleep(0.05)
    return part["lateResult"]


def effects(bridge: BridgeProcess) -> Counter[str]:
    """How often each invocation had its effect."""
    file = Path(bridge.environment["EFFECTS"])
    return Counter(line.split()[0] for line in file.read_text().splitlines()) if file.exists() else Counter()


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():
            await asyncio.sleep(0.02)


def host(bridge: BridgeProcess) -> Any:
    """The entry of the running host in functions.json, or of the one before until another is ready."""
    return json.loads((bridge.data_dir / "functions.json").read_text())["counting-functions"]


async def assert_one_ending_and_one_reply_each(bridge: BridgeProcess, *runs: Any) -> None:
    """Replies are read up to the one of a run that is asked for later."""
    await asked(bridge, "count.call", "later")
    found = defaultdict(list)
    async with queue(bridge.data_dir) as bus:
        while not found["later"]:
            reply, _ = await bus.receive("automation-replies/requesters")
            found[reply["correlationid"]].append((reply["id"], reply["type"]))
    for run in runs:
        assert run["status"] == "Succeeded"
        assert found[run["correlationId"]] == [(f"{run['correlationId']}/{run['createdAt']}", "automation.succeeded")]
        assert (await ended(bridge, run["correlationId"]))["status"] == "Succeeded"


@pytest.mark.parametrize(("point", "target", "most"), HOST_PASSES)
async def test_work_outlives_the_end_of_the_host_at(
    bridge: BridgeProcess, point: HostCrashPoint, target: tuple[str, str], most: int
) -> None:
    await start(bridge, BRIDGE_FUNCTIONS_CRASH_AT=f"{point}:2")
    automation, name = target
    before, run = [await asked(bridge, automation, correlation_id) for correlation_id in ("r-1", "r-2")]
    if point is HostCrashPoint.SENT_NOT_SETTLED:
        assert (await late_result(bridge, "r-2"))["error"]["code"] == "Canceled"
    await assert_one_ending_and_one_reply_each(bridge, before, run)
    assert (effects(bridge)[f"r-1/{name}"], effects(bridge)[f"r-2/{name}"]) == (1, most)
    assert "The functions host ended with exit code 137" in bridge.log()


@pytest.mark.parametrize(("point", "target", "most"), WORKER_PASSES)
async def test_work_outlives_the_end_of_the_worker_at(
    bridge: BridgeProcess, point: WorkerCrashPoint, target: tuple[str, str], most: int
) -> None:
    await start(bridge, BRIDGE_WORKER_CRASH_AT=f"{point}:2")
    automation, name = target
    before, run = [await asked(bridge, automation, correlation_id) for correlation_id in ("r-1", "r-2")]
    await assert_one_ending_and_one_reply_each(bridge, before, run)
    assert (effects(bridge)[f"r-1/{name}"], effects(bridge)[f"r-2/{name}"]) == (1, most)
    assert "The functions host ended" not in bridge.log()


@pytest.mark.parametrize(("automation", "name"), [CALL, MESSAGE])
async def test_work_outlives_a_worker_that_dies_while_it_runs_it(bridge: BridgeProcess, automation: str, name: str) -> None:
    await start(bridge)
    before, run = await asked(bridge, automation, "r-1"), await asked(bridge, automation, "r-2", ends=True)
    await assert_one_ending_and_one_reply_each(bridge, before, run)
    assert (run["output"], effects(bridge)[f"r-1/{name}"], effects(bridge)[f"r-2/{name}"]) == ({"count": 2}, 1, 2)


async def test_work_waits_for_a_worker_that_dies_before_it_has_loaded_the_app(bridge: BridgeProcess) -> None:
    await start(bridge, BRIDGE_WORKER_CRASH_AT=WorkerCrashPoint.STARTED_NOT_LOADED)
    runs = await asyncio.gather(asked(bridge, "count.call", "r-1"), asked(bridge, "topic.work", "r-2"))
    await assert_one_ending_and_one_reply_each(bridge, *runs)
    assert (effects(bridge)["r-1/call"], effects(bridge)["r-2/message"]) == (1, 1)
    assert "because it cannot start:" in bridge.log()


async def test_work_behind_a_topic_outlives_a_host_that_is_killed_while_it_runs_it(bridge: BridgeProcess) -> None:
    await start(bridge)
    await ask(bridge, "topic.work", "r-1", waits=True)
    await until(lambda: effects(bridge)["r-1/message"] == 1)
    killed = host(bridge)["pid"]
    os.kill(killed, signal.SIGKILL)
    run = await ended(bridge, "r-1")
    await assert_one_ending_and_one_reply_each(bridge, run)
    assert (run["output"], effects(bridge)["r-1/message"], host(bridge)["pid"] != killed) == ({"count": 2}, 2, True)


async def test_a_call_whose_host_was_killed_is_on_record_as_unknown_and_repeated_under_its_id(bridge: BridgeProcess) -> None:
    await start(bridge)
    await ask(bridge, "count.call", "r-1", waits=True)
    await until(lambda: effects(bridge)["r-1/call"] == 1)
    os.kill(host(bridge)["pid"], signal.SIGKILL)
    run = await ended(bridge, "r-1")
    await assert_one_ending_and_one_reply_each(bridge, run)
    attempts = [(attempt["outcome"], attempt.get("code")) for attempt in run["invocations"][0]["attempts"]]
    assert [each for each in attempts if each[1] not in NO_HOST] == [("Unknown", "ConnectionLost"), ("Succeeded", None)]
    assert effects(bridge)["r-1/call"] == 2


async def test_one_ending_although_the_host_of_a_killed_bridge_finishes_its_work_beside_the_next(bridge: BridgeProcess) -> None:
    await start(bridge)
    await ask(bridge, "topic.work", "r-1", waits=True)
    await until(lambda: effects(bridge)["r-1/message"] == 1)
    await bridge.kill()
    await bridge.start()
    run = await ended(bridge, "r-1")
    Path(bridge.environment["EFFECTS"]).with_name("go").touch()
    await assert_one_ending_and_one_reply_each(bridge, run)
    assert (run["output"], effects(bridge)["r-1/message"]) == ({"count": 2}, 2)


def test_every_point_of_host_and_worker_has_its_test() -> None:
    assert {point for point, _, _ in HOST_PASSES} == set(HostCrashPoint)
    assert {point for point, _, _ in WORKER_PASSES} | {WorkerCrashPoint.STARTED_NOT_LOADED} == set(WorkerCrashPoint)
    other = ROOT / "bridge" / "local" / "functions" / "workers" / "psworker" / "CrashPoint.cs"
    assert set(re.findall(r'internal const string \w+ = "(.+)"', other.read_text())) == set(WorkerCrashPoint)
