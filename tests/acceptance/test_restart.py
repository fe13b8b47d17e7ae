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
from tests.acceptance.scripted import Scripted
from tests.chaos.storm import Plan, storm

Http = aiohttp.ClientSession


async def test_what_was_accepted_ends_once_and_is_replied_to_although_the_bridge_is_killed_again_and_again(tmp_path: Path) -> None:
    plan = Plan(seconds=10, kills=3, seed=random.randrange(10**6))
    came = await storm(plan, tmp_path)
    assert came.wrong == (), f"python -m tests.chaos --seconds 10 --kills 3 --seed {plan.seed}"
    assert came.verdict.accepted > 50


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
