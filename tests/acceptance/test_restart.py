"""Killed at any moment, the bridge loses nothing it has accepted."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.queue_client import queue
from tests.acceptance.scripted import Scripted

Http = aiohttp.ClientSession


async def test_every_accepted_request_ends_once_although_the_bridge_is_killed_again_and_again(bridge: BridgeProcess, app: Scripted) -> None:
    accepted: set[str] = set()
    stop = asyncio.Event()

    async def client(number: int) -> None:
        count = 0
        async with Http(bridge.url) as http:
            while not stop.is_set():
                count += 1
                name = f"c{number}-{count}"
                try:
                    async with http.post(
                        "/v1/automations/echo/requests", json={"text": name}, headers={"X-Correlation-Id": name}
                    ) as answer:
                        if answer.status == 202:
                            accepted.add(name)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    clients = [asyncio.create_task(client(number)) for number in range(8)]
    for _ in range(3):
        await asyncio.sleep(0.5 + random.random() / 2)
        await bridge.kill()
        await bridge.start()
    stop.set()
    await asyncio.gather(*clients)
    assert len(accepted) > 50
    async with Http(bridge.url) as http:
        for name in accepted:
            async with http.get(f"/v1/requests/{name}?wait=20") as answer:
                run = await answer.json()
            assert (answer.status, run["status"], run["output"]) == (200, "Succeeded", {"text": name})
    async with queue(bridge.data_dir) as bus:
        replied: set[str] = set()
        while not accepted <= replied:
            reply, _ = await bus.receive("automation-replies/requesters")
            replied.add(reply["correlationid"])
    assert all(app.count(name) <= 3 for name in accepted)


async def test_a_stopping_bridge_lets_calls_end_and_takes_none(bridge: BridgeProcess, app: Scripted) -> None:
    async with Http(bridge.url) as http:
        async with http.post("/v1/automations/slow/requests", json={"seconds": 1}, headers={"X-Correlation-Id": "drained"}):
            pass
        while not app.calls:
            await asyncio.sleep(0.01)
    assert await bridge.stop(signal.SIGTERM) == 0
    await bridge.start()
    async with Http(bridge.url) as http, http.get("/v1/requests/drained?wait=5") as answer:
        run = await answer.json()
    assert (run["status"], app.count("drained")) == ("Succeeded", 1)


async def test_a_second_bridge_on_the_same_data_is_refused_with_the_reason(bridge: BridgeProcess) -> None:
    other = BridgeProcess(bridge.data_dir, bridge.config, environment=bridge.environment)
    with pytest.raises(AssertionError, match=r"in use|another"):
        await other.start()


async def test_files_with_secrets_are_for_their_owner_only(bridge: BridgeProcess) -> None:
    for name in ("bridge.db", "signing.key", "queue.json"):
        assert stat.S_IMODE((bridge.data_dir / name).stat().st_mode) == 0o600, name


async def test_a_deadline_that_passed_while_the_bridge_was_down_ends_the_run(bridge: BridgeProcess, app: Scripted) -> None:
    async with Http(bridge.url) as http:
        async with http.post("/v1/automations/slow/requests", json={}, headers={"X-Correlation-Id": "late"}):
            pass
        while not app.calls:
            await asyncio.sleep(0.01)
    await bridge.kill()
    await asyncio.sleep(5)
    await bridge.start()
    async with Http(bridge.url) as http, http.get("/v1/requests/late?wait=10") as answer:
        run: Any = await answer.json()
    assert (run["status"], len(run["invocations"][0]["attempts"])) == ("TimedOut", 1)


async def test_nothing_secret_is_logged(bridge: BridgeProcess) -> None:
    async with (
        Http(bridge.url) as http,
        http.post(
            "/v1/automations/echo/requests",
            json={"text": "x", "password": "hunter2"},
            headers={"Prefer": "wait=10", "Authorization": "Bearer s3cret"},
        ),
    ):
        pass
    log = bridge.log()
    door = json.loads((Path(bridge.data_dir) / "queue.json").read_text())
    assert "called the function" in log
    assert not [word for word in ("hunter2", "s3cret", door["token"], "key-of-the-scripted-app") if word in log]
