"""Functions that answer 202 and go on working: the bridge asks for their status until they end."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.acceptance.accepting import CODE
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import KEY, Scripted
from tests.acceptance.test_crash_points import ask, ends_here, start_again, under_way

Http = aiohttp.ClientSession


async def submitted(http: Http, automation: str, value: dict[str, Any], wait: int = 20) -> Any:
    async with http.post(f"/v1/automations/{automation}/requests", json=value, headers={"Prefer": f"wait={wait}"}) as answer:
        assert answer.status in (200, 202), await answer.text()
        return await answer.json()


async def ended(http: Http, correlation_id: str) -> Any:
    async with http.get(f"/v1/requests/{correlation_id}?wait=20") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@pytest.mark.parametrize("automation", ["durable.run", "location.run"])
@pytest.mark.parametrize("looks", [0, 1, 3])
async def test_work_is_followed_until_it_has_ended_and_started_once(http: Http, app: Scripted, automation: str, looks: int) -> None:
    run = await submitted(http, automation, {"looks": looks})
    (invocation,) = run["invocations"]
    assert (run["status"], run["output"], app.count(run["correlationId"])) == ("Succeeded", {"looks": looks}, 1)
    assert [attempt["outcome"] for attempt in invocation["attempts"]] == ["Succeeded"]


async def test_a_failed_orchestration_fails_the_run_with_its_message(http: Http) -> None:
    run = await submitted(http, "durable.run", {"ends": "Failed"})
    assert (run["status"], run["error"]["code"], run["error"]["message"]) == (
        "Failed",
        "OrchestrationFailed",
        "Orchestrator function failed: boom",
    )


async def test_an_address_at_another_host_is_asked_at_the_app_and_the_key_stays_there(http: Http, app: Scripted) -> None:
    run = await submitted(http, "durable.run", {"host": "https://name-on-azure.example"})
    assert run["status"] == "Succeeded"
    address, headers = app.accepting.polls[-1]
    assert address.startswith("/runtime/webhooks/durabletask/instances/id%20")
    assert "x-functions-key" not in headers  # the address has a key of its own
    run = await submitted(http, "location.run", {"host": "https://name-on-azure.example"})
    assert (run["status"], app.accepting.polls[-1][1]["x-functions-key"]) == ("Succeeded", KEY)


async def test_the_status_address_is_never_shown(http: Http, bridge: BridgeProcess) -> None:
    run = await submitted(http, "durable.run", {"looks": 30}, wait=2)
    assert run["invocations"][0]["attempts"][0]["outcome"] == "Accepted"
    assert CODE not in str(run)
    assert "webhooks" not in str(run)
    assert CODE not in bridge.log()


async def test_a_cancel_terminates_the_orchestration(http: Http, app: Scripted) -> None:
    run = await submitted(http, "durable.run", {"looks": 1000}, wait=1)
    async with http.delete(f"/v1/requests/{run['correlationId']}") as answer:
        assert answer.status == 202
    run = await ended(http, run["correlationId"])
    assert (run["status"], [work.terminated for work in app.accepting.work.values()]) == ("Canceled", [True])


async def test_a_crash_goes_on_following_and_starts_nothing_again(http: Http, app: Scripted, bridge: BridgeProcess) -> None:
    run = await submitted(http, "durable.run", {"looks": 4}, wait=1)
    await bridge.kill()
    await bridge.start()
    run = await ended(http, run["correlationId"])
    assert (run["status"], app.count(run["correlationId"])) == ("Succeeded", 1)


async def test_a_crash_after_the_work_was_terminated_leaves_a_canceled_run(http: Http, app: Scripted, bridge: BridgeProcess) -> None:
    await start_again(bridge, BRIDGE_CRASH_AT="work.terminated")
    await ask(bridge, "durable.run", "d-1", value={"looks": 1000})
    await under_way(bridge, "d-1")
    await ask(bridge, "durable.run", "d-1", "DELETE")
    await ends_here(bridge)
    await start_again(bridge)
    assert ((await ended(http, "d-1"))["status"], app.count("d-1")) == ("Canceled", 1)


async def test_redirects_lead_to_the_result_and_a_loop_is_a_failure(http: Http) -> None:
    run = await submitted(http, "location.run", {"ends": "redirect"})
    assert (run["status"], run["output"]) == ("Succeeded", {"ends": "redirect"})
    run = await submitted(http, "location.run", {"ends": "loop"})
    assert (run["status"], run["error"]["code"]) == ("Failed", "RedirectLoop")


async def test_with_none_the_202_is_the_answer_without_the_addresses_that_manage_it(http: Http, app: Scripted) -> None:
    run = await submitted(http, "started.run", {"looks": 5})
    assert (run["status"], set(run["output"])) == ("Succeeded", {"id"})
    await asyncio.sleep(0.6)
    assert app.accepting.polls == []
