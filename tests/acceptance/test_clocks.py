"""Somebody sets the clock of the machine: nothing waits longer for it, and nothing ends before its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.faketime import FakeTime, fake_time
from tests.acceptance.scripted import KEY, Scripted

HOUR = 3600.0
MANY = 130  #: more than may be called and wait for their call at a time
SOON = 30  #: seconds in which everything ends that waits for nothing but its turn
Run = dict[str, Any]


@pytest.fixture
def clock(tmp_path: Path) -> FakeTime:
    return fake_time(tmp_path)


@pytest.fixture
async def bridge(app: Scripted, clock: FakeTime, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    async with BridgeProcess(
        tmp_path / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY}, prefix=clock.prefix
    ) as process:
        yield process


@pytest.fixture
async def http(bridge: BridgeProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(bridge.url, timeout=aiohttp.ClientTimeout(90)) as session:
        yield session


async def ask(http: aiohttp.ClientSession, automation: str, name: str, given: Run, **headers: str) -> int:
    path, headers = f"/v1/automations/{automation}/requests", {"X-Correlation-Id": name, **headers}
    async with http.post(path, json=given, headers=headers) as answer:
        return answer.status


async def ask_many(http: aiohttp.ClientSession, automation: str, count: int, given: Run, prefix: str = "r") -> list[str]:
    names = [f"{prefix}{number}" for number in range(count)]
    assert set(await asyncio.gather(*(ask(http, automation, name, given) for name in names))) == {202}
    return names


async def look(http: aiohttp.ClientSession, name: str, wait: float = 0) -> Run:
    async with http.get(f"/v1/requests/{name}?wait={wait}") as answer:
        found: Run = await answer.json()
        return found


async def statuses(http: aiohttp.ClientSession, names: list[str], wait: float = 0) -> dict[str, str]:
    runs = await asyncio.gather(*(look(http, name, wait) for name in names))
    return {run["correlationId"]: run["status"] for run in runs}


async def called(app: Scripted, count: int) -> None:
    async with asyncio.timeout(SOON):
        while len(app.calls) < count:
            await asyncio.sleep(0.01)


async def test_what_waits_for_its_turn_gets_it_although_the_clock_is_set_back(
    http: aiohttp.ClientSession, app: Scripted, clock: FakeTime
) -> None:
    names = await ask_many(http, "patient", MANY, {"seconds": 0.5})
    await called(app, 1)
    clock.set(-HOUR)
    names += await ask_many(http, "act", 5, {"act": "broken-once"}, "again")
    names += await ask_many(http, "unhurried", 5, {}, "new")
    assert await statuses(http, names, SOON) == dict.fromkeys(names, "Succeeded")
    for run in await asyncio.gather(*(look(http, name) for name in names)):
        assert run["createdAt"] <= run["updatedAt"]


async def test_what_was_accepted_goes_on_after_a_restart_with_the_clock_set_back(
    bridge: BridgeProcess, http: aiohttp.ClientSession, app: Scripted, clock: FakeTime
) -> None:
    names = await ask_many(http, "patient", MANY, {})
    names += await ask_many(http, "act", 5, {"act": "broken-once"}, "again")
    await called(app, 25)
    await bridge.kill()
    clock.set(-HOUR)
    app.release.set()
    await bridge.start()
    assert await statuses(http, names, SOON) == dict.fromkeys(names, "Succeeded")
    for run in await asyncio.gather(*(look(http, name) for name in names)):
        assert run["createdAt"] <= run["updatedAt"]


async def test_nothing_ends_before_its_deadline_because_the_clock_is_set_forward(
    http: aiohttp.ClientSession, app: Scripted, clock: FakeTime
) -> None:
    names = await ask_many(http, "patient", 30, {})
    await called(app, 20)
    clock.set(HOUR)
    assert await ask(http, "patient", "asked-later", {}) == 202
    await asyncio.sleep(2)
    assert "TimedOut" not in set((await statuses(http, [*names, "asked-later"])).values())
    app.release.set()
    assert set((await statuses(http, [*names, "asked-later"], SOON)).values()) == {"Succeeded"}


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
async def test_a_run_ends_at_its_deadline_whatever_the_clock_shows(
    http: aiohttp.ClientSession, app: Scripted, clock: FakeTime, set_forward: float
) -> None:
    assert await ask(http, "slow", "late", {}) == 202
    await called(app, 1)
    clock.set(set_forward)
    await asyncio.sleep(1)
    assert (await look(http, "late"))["status"] == "Running"
    assert (await look(http, "late", SOON))["status"] == "TimedOut"


async def test_a_deadline_that_a_requester_gives_is_compared_with_the_clock_of_the_machine(
    http: aiohttp.ClientSession, clock: FakeTime
) -> None:
    given = {"X-Deadline": (datetime.now(UTC) + timedelta(minutes=5)).isoformat()}
    assert await ask(http, "echo", "before", {}, **given) == 202
    clock.set(HOUR)
    assert await ask(http, "echo", "after", {}, **given) == 422
