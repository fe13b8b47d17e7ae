"""PowerShell functions as targets, over HTTP and behind a topic, in a functions host beside the bridge: on every runtime."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, BridgeProcess
from tests.acceptance.runtimes import Runtime
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh

COUNTING = HERE / "counting"
CALL, MESSAGE = ("count.call", "call"), ("topic.work", "message")
#: The grace of a cancel is far away, so that what ends at once ended because the host said so.
CONFIG = f"""
catalogue: {COUNTING / "automations.yaml"}
resiliency: {COUNTING / "resiliency.yaml"}
entities: {HERE / "servicebus.json"}
functions: {COUNTING / "powershell"}
functions_port: 0
cancel_grace: 10m
"""

Http = aiohttp.ClientSession


@pytest.fixture
async def bridge(runtime: Runtime, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    environment = {"BRIDGE_PWSH": str(pwsh()), "EFFECTS": str(tmp_path / "effects")}
    config = CONFIG + runtime.functions_settings
    async with runtime.bridge(tmp_path, config, environment) as made:
        yield made
        (tmp_path / "go").touch()


async def ask(http: Http, automation: str, correlation_id: str, wait: int = 50, **order: Any) -> Any:
    headers = {"X-Correlation-Id": correlation_id, **({"Prefer": f"wait={wait}"} if wait else {})}
    async with http.post(f"/v1/automations/{automation}/requests", json=order, headers=headers) as answer:
        assert answer.status in (200, 202), await answer.text()
        return await answer.json()


async def ended(http: Http, correlation_id: str) -> Any:
    """The run after its end. A sidecar may take two minutes to find a bridge that was away (docs/dapr.md)."""
    for _ in range(3):
        async with http.get(f"/v1/requests/{correlation_id}?wait=50") as answer:
            run = await answer.json()
            if answer.status == 200:
                return run
    raise AssertionError(f"the run has not ended: {run}")


def effects(bridge: BridgeProcess) -> Counter[str]:
    """How often each invocation had its effect."""
    file = Path(bridge.environment["EFFECTS"])
    return Counter(line.split()[0] for line in file.read_text().splitlines()) if file.exists() else Counter()


async def running(bridge: BridgeProcess, invocation: str) -> None:
    async with asyncio.timeout(30):
        while not effects(bridge)[invocation]:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("automation", "target"), [CALL, MESSAGE])
async def test_a_function_does_its_work_once(http: Http, bridge: BridgeProcess, automation: str, target: str) -> None:
    run = await ask(http, automation, "r-1")
    assert (run["status"], run["output"], effects(bridge)[f"r-1/{target}"]) == ("Succeeded", {"count": 1}, 1), run
    assert "errorsWritten" not in run["invocations"][0]["attempts"][0]


@pytest.mark.parametrize(("automation", "target"), [CALL, MESSAGE])
async def test_what_a_script_throws_is_the_error_of_its_run_and_ends_the_retries(
    http: Http, bridge: BridgeProcess, automation: str, target: str
) -> None:
    run = await ask(http, automation, "r-1", throws="no such mailbox")
    assert (run["status"], run["error"]["code"]) == ("Failed", "TalkedInto"), run
    assert run["error"]["message"].startswith("no such mailbox")
    assert effects(bridge)[f"r-1/{target}"] == 1


@pytest.mark.parametrize("automation", [CALL[0], MESSAGE[0]])
async def test_errors_that_a_script_writes_are_counted_and_end_nothing(http: Http, automation: str) -> None:
    run = await ask(http, automation, "r-1", writes=["one", "two"])
    (attempt,) = run["invocations"][0]["attempts"]
    assert (run["status"], run["output"], attempt["errorsWritten"]) == ("Succeeded", {"count": 1}, 2), run


@pytest.mark.parametrize("automation", ["strict.call", "strict.work"])
async def test_where_errors_fail_they_end_the_run(http: Http, bridge: BridgeProcess, automation: str) -> None:
    run = await ask(http, automation, "r-1", writes=["one"])
    (attempt,) = run["invocations"][0]["attempts"]
    assert (run["status"], run.get("error", {}).get("code"), attempt.get("errorsWritten")) == ("Failed", "ErrorsWritten", 1), run
    assert (await ask(http, automation, "r-2"))["status"] == "Succeeded"
    assert set(effects(bridge).values()) == {1}


@pytest.mark.parametrize(("automation", "target"), [CALL, MESSAGE])
async def test_a_cancel_ends_the_running_script_and_its_run_long_before_the_grace_is_over(
    http: Http, bridge: BridgeProcess, automation: str, target: str
) -> None:
    await ask(http, automation, "r-1", wait=0, waits=True)
    await running(bridge, f"r-1/{target}")
    async with http.delete("/v1/requests/r-1") as answer:
        assert answer.status == 202
    run = await ended(http, "r-1")
    assert (run["status"], run["invocations"][0]["error"]["code"]) == ("Canceled", "Canceled"), run
    assert (await ask(http, automation, "r-2"))["status"] == "Succeeded"
    assert effects(bridge)[f"r-1/{target}"] == 1


@pytest.mark.parametrize(("automation", "target"), [CALL, MESSAGE])
async def test_work_outlives_a_worker_that_dies_while_it_runs_it(http: Http, bridge: BridgeProcess, automation: str, target: str) -> None:
    run = await ask(http, automation, "r-1", ends=True)
    assert (run["status"], run["output"], effects(bridge)[f"r-1/{target}"]) == ("Succeeded", {"count": 2}, 2), run


@pytest.mark.parametrize(("automation", "target"), [CALL, MESSAGE])
async def test_work_outlives_a_bridge_that_is_killed_with_its_functions(bridge: BridgeProcess, automation: str, target: str) -> None:
    async with Http(bridge.url) as http:
        await ask(http, automation, "r-1", wait=0, waits=True)
        await running(bridge, f"r-1/{target}")
        await bridge.kill()
        await bridge.start()
        Path(bridge.environment["EFFECTS"]).with_name("go").touch()
    async with Http(bridge.url) as http:
        run = await ended(http, "r-1")
    assert run["status"] == "Succeeded", run
    assert effects(bridge)[f"r-1/{target}"] in (1, 2)
