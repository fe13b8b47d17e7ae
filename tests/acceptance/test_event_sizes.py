"""What a bus cannot carry is refused with the reason (`max_event_bytes`); here the namespace takes what Service Bus Standard takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance import runtimes
from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.runtimes import Bus, OnServiceBus, Runtime
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr.namespace import NamespaceMachine

MOST, STANDARD = 256_000, 256 * 1024  #: bytes: of an event, and of a message with all that is around it
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "automation.requested", "subject": "topic.work"}


@pytest.fixture
async def runtime(runtime_name: str, tmp_path: Path) -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as stack:
        if runtime_name != "dapr-servicebus":
            yield await stack.enter_async_context(runtimes.runtime(runtime_name, tmp_path / "machine"))
            return
        machine = NamespaceMachine.planned(tmp_path / "machine", stack)
        machine.namespace.arguments = ("--max-message", str(STANDARD))
        await machine.broker()
        await machine.redis()
        await machine.sidecar()
        yield OnServiceBus(machine)


@pytest.fixture
async def bridge(runtime: Runtime, app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    config = scripted_config(app.url, f"max_event_bytes: {MOST}", f"public_url: https://{'b' * 60}.example.com")
    async with runtime.bridge(tmp_path, config, {"SCRIPTED_KEY": KEY}) as process:
        yield process


async def ask(http: aiohttp.ClientSession, automation: str, size: int, correlation_id: str) -> tuple[int, Any]:
    """The answer to a request with an input of so many bytes in JSON."""
    value, headers = {"text": "x" * (size - len('{"text":""}'))}, {"X-Correlation-Id": correlation_id}
    async with http.post(f"/v1/automations/{automation}/requests", json=value, headers=headers) as answer:
        return answer.status, await answer.json()


async def ended(http: aiohttp.ClientSession, correlation_id: str) -> Any:
    async with http.get(f"/v1/requests/{correlation_id}?wait=50") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def letters(http: aiohttp.ClientSession, count: int) -> list[Any]:
    """The dead letters, once there are so many."""
    while True:
        async with http.get("/v1/deadletters") as answer:
            found: list[Any] = (await answer.json())["items"]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("automation", ["topic.work", "fan.all"])
async def test_the_largest_request_that_is_accepted_is_carried_and_one_byte_more_is_refused_at_once(
    http: aiohttp.ClientSession, bus: Bus, automation: str
) -> None:
    accepted, refused = MOST - 2_000, MOST
    while refused - accepted > 1:
        size = (accepted + refused) // 2
        status, told = await ask(http, automation, size, f"r-{size}")
        assert status in (202, 413), told
        if status == 413:
            assert (told["code"], told["hint"]) == ("TooLarge", "Store the data elsewhere and send a reference to it.")
            refused = size
        else:
            accepted = size
            if automation == "topic.work":
                work, _ = await bus.receive("work/worker")
                assert work["id"] == f"r-{size}/worker"
            else:
                assert (await ended(http, f"r-{size}"))["status"] == "Succeeded"
    async with http.get(f"/v1/requests/r-{refused}") as answer:
        assert answer.status == 404


async def test_a_request_over_a_topic_whose_work_is_too_large_ends_with_the_reason(http: aiohttp.ClientSession, bus: Bus) -> None:
    await bus.send_event("automation-requests", {**EVENT, "data": {"text": "x" * (MOST - 350)}})
    run = await ended(http, "e-1")
    assert (run["status"], run["error"]["code"]) == ("Failed", "TooLarge")
    assert run["error"]["hint"] == "Store the data elsewhere and send a reference to it."
    reply, _ = await bus.receive("automation-replies/requesters")
    assert (reply["type"], reply["correlationid"]) == ("automation.failed", "e-1")


async def test_a_result_that_the_bus_cannot_carry_ends_the_run_with_that_reason(
    http: aiohttp.ClientSession, bus: Bus, bridge: BridgeProcess
) -> None:
    await ask(http, "topic.work", 20, "r-1")
    work, _ = await bus.receive("work/worker")
    headers, result = {"x-invocation-token": work["invocationtoken"]}, {"status": "succeeded", "output": "x" * MOST}
    async with http.post(f"{bridge.url}/v1/invocations/r-1/worker", json=result, headers=headers) as answer:
        assert answer.status == 202
    run = await ended(http, "r-1")
    assert (run["status"], run["error"]["code"], run["error"]["hint"]) == ("Failed", "OutputTooLarge", "Store it and return where it is.")


async def test_what_the_bus_has_carried_for_another_sender_can_be_replayed(http: aiohttp.ClientSession, bus: Bus) -> None:
    await bus.send("automation-requests", b"?" * (STANDARD - 2_000))
    (letter,) = await letters(http, 1)
    async with http.post(f"/v1/deadletters/{letter['id']}/replay") as answer:
        assert answer.status == 202, await answer.text()
    assert letter["id"] in {each.get("replayOf") for each in await letters(http, 2)}  # the bus has brought it again
