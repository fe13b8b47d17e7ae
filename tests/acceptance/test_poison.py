"""A message that ends the process whenever it is handled: after three crashes it is a dead letter, and its neighbours are delivered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.queue_client import queue as connected
from tests.acceptance.scripted import KEY, Scripted

REQUESTS = "automation-requests"
CRASH = {"BRIDGE_CRASH_AT": "run.refused"}  # a bridge that meets a request which does not fit ends, as if killed


def request(correlation_id: str, **data: Any) -> dict[str, Any]:
    named = {"specversion": "1.0", "id": correlation_id, "source": "/test", "type": "automation.requested", "subject": "echo"}
    return {**named, "data": data}


@pytest.fixture
async def bridge(app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    process = BridgeProcess(tmp_path / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY})
    async with process:
        yield process


async def crash(bridge: BridgeProcess) -> None:
    """Start a bridge that ends at the poison, which may be before it has said its address."""
    bridge.environment |= CRASH
    with contextlib.suppress(AssertionError):
        await bridge.start()
    assert bridge.process is not None
    await asyncio.wait_for(bridge.process.wait(), 20)


async def start(bridge: BridgeProcess) -> None:
    bridge.environment.pop("BRIDGE_CRASH_AT", None)
    await bridge.start()


async def poisoned(bridge: BridgeProcess) -> None:
    """Send poison between two requests that are fine, to a bridge that ends at the poison."""
    await bridge.stop()
    bridge.environment |= CRASH
    await bridge.start()
    async with connected(bridge.data_dir) as queue:
        with contextlib.suppress(OSError, ValueError):
            for event in (request("fine-1"), request("poison", text=7), request("fine-2")):
                await queue.send_event(REQUESTS, event)
    assert bridge.process is not None
    await asyncio.wait_for(bridge.process.wait(), 20)


async def get(bridge: BridgeProcess, path: str) -> Any:
    async with aiohttp.ClientSession(bridge.url) as http, http.get(path) as answer:
        return await answer.json()


async def ended(bridge: BridgeProcess, correlation_id: str) -> Any:
    """The run at its end; there is none until its request has been delivered again."""
    async with asyncio.timeout(60):
        while (run := await get(bridge, f"/v1/requests/{correlation_id}?wait=5")).get("status") not in ("Succeeded", "Failed"):
            await asyncio.sleep(0.05)
    return run


async def letters(bridge: BridgeProcess, reason: str) -> list[Any]:
    async with asyncio.timeout(20):
        while not (found := (await get(bridge, f"/v1/deadletters?reason={reason}"))["items"]):
            await asyncio.sleep(0.1)
    return list(found)


async def test_a_message_in_hand_at_three_crashes_is_a_dead_letter_at_the_next_start(bridge: BridgeProcess) -> None:
    await poisoned(bridge)
    await crash(bridge)
    await crash(bridge)
    bridge.environment |= CRASH  # nothing handles the message any more, so the bridge stays up
    await bridge.start()
    (letter,) = await letters(bridge, "CrashedProcess")
    assert (letter["correlationId"] or letter["event"]["id"], letter["attempts"]) == ("poison", 3)
    assert "crashed 3 times" in letter["detail"]
    assert (await ended(bridge, "fine-1"))["status"] == "Succeeded"
    await bridge.stop()
    await start(bridge)
    assert len(await letters(bridge, "CrashedProcess")) == 1


async def test_after_two_crashes_it_is_delivered_again(bridge: BridgeProcess) -> None:
    await poisoned(bridge)
    await crash(bridge)
    await start(bridge)
    run = await ended(bridge, "poison")
    assert (run["status"], run["error"]["code"]) == ("Failed", "InvalidInput")
    assert (await get(bridge, "/v1/deadletters"))["items"] == []
