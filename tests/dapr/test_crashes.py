"""A crash is no timeout: calls in hand when a bridge is killed are made again in time, although one may take longer than the run."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.dapr.machine import Machine
from tests.dapr.process import bridge_on
from tests.dapr.sidecar import COMPONENTS, free_ports

NAMES = [f"in-hand-{number}" for number in range(20)]


def bridge_with_long_calls(machine: Machine, folder: Path, app: Scripted) -> BridgeProcess:
    """The shipped policy, but with calls of 60 s: to wait for the end of a lost one would be to wait past the deadline, which is 40 s."""
    folder.mkdir(exist_ok=True)
    shipped = (ROOT / "functions" / "resiliency.yaml").read_text()
    (folder / "policy.yaml").write_text(shipped.replace("DefaultAppTimeoutPolicy: 25s", "DefaultAppTimeoutPolicy: 60s"))
    made = bridge_on(machine, folder, app)
    made.config = re.sub("resiliency: .*", f"resiliency: {folder / 'policy.yaml'}", made.config)
    return made


@pytest.fixture
async def place(machine: Machine) -> Machine:
    """With the components as they ship: what was handed out is handed out again after a minute."""
    machine.components = COMPONENTS / "redis"
    await machine.redis()
    return machine


async def in_hand(bridge: BridgeProcess, app: Scripted) -> None:
    async with aiohttp.ClientSession(bridge.url) as http:
        for name in NAMES:
            async with http.post("/v1/automations/patient/requests", json={}, headers={"X-Correlation-Id": name}) as answer:
                assert answer.status == 202
    async with asyncio.timeout(20):
        while len(app.calls) < len(NAMES):
            await asyncio.sleep(0.01)


async def ended(bridge: BridgeProcess) -> list[Any]:
    async with aiohttp.ClientSession(bridge.url) as http, asyncio.timeout(40):
        return [await _ended(http, name) for name in NAMES]


async def _ended(http: aiohttp.ClientSession, name: str) -> Any:
    while True:
        async with http.get(f"/v1/requests/{name}?wait=20") as answer:
            if answer.status == 200:
                return await answer.json()
        await asyncio.sleep(0.05)


def all_made_again(runs: list[Any], app: Scripted) -> None:
    outcomes = {(run["status"], *(attempt["outcome"] for attempt in run["invocations"][0]["attempts"])) for run in runs}
    assert outcomes == {("Succeeded", "Unknown", "Succeeded")}
    assert set(app.effects.values()) == {2}


async def test_after_the_bridge_was_killed(place: Machine, tmp_path: Path, app: Scripted) -> None:
    await place.sidecar()
    bridge = await bridge_with_long_calls(place, tmp_path / "bridge", app).start()
    await in_hand(bridge, app)
    await bridge.kill()
    app.release.set()
    async with bridge:
        all_made_again(await ended(bridge), app)


async def test_after_bridge_and_sidecar_were_killed(place: Machine, tmp_path: Path, app: Scripted) -> None:
    beside = await place.sidecar()
    bridge = await bridge_with_long_calls(place, tmp_path / "bridge", app).start()
    await in_hand(bridge, app)
    await bridge.kill()
    await beside.program.kill()
    app.release.set()
    await place.sidecar()
    async with bridge:
        all_made_again(await ended(bridge), app)


async def test_after_one_of_two_bridges_was_killed(place: Machine, tmp_path: Path, app: Scripted) -> None:
    app_port, port = free_ports(2)
    async with AsyncExitStack() as stack:
        other = replace(place, directory=tmp_path / "other", app_port=app_port, port=port, stack=stack)
        await place.sidecar()
        beside = await other.sidecar()
        surviving = await stack.enter_async_context(bridge_with_long_calls(place, tmp_path / "bridge", app))
        killed = await bridge_with_long_calls(other, tmp_path / "other", app).start()
        await in_hand(killed, app)
        await killed.kill()
        await beside.program.kill()
        app.release.set()
        await other.sidecar()
        async with killed:
            runs = await ended(surviving)
    assert {run["status"] for run in runs} == {"Succeeded"}
    assert set(app.effects.values()) <= {1, 2}
