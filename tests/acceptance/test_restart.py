"""Killed at any moment, the bridge loses nothing it has accepted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import signal
import sqlite3
import stat
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import ROOT, BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.chaos.place import embedded
from tests.chaos.storm import Plan, storm

Http = aiohttp.ClientSession


async def test_what_was_accepted_ends_once_and_is_replied_to_although_the_bridge_is_killed_again_and_again(tmp_path: Path) -> None:
    plan = Plan(seconds=10, kills=3, seed=random.randrange(10**6))
    came = await storm(plan, partial(embedded, tmp_path))
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


async def test_who_waits_at_a_stopping_bridge_is_told_how_the_run_stands(bridge: BridgeProcess, app: Scripted) -> None:
    async with Http(bridge.url) as http:
        headers = {"X-Correlation-Id": "waited-for", "Prefer": "wait=60"}
        asking = asyncio.create_task(http.post("/v1/automations/patient/requests", json={}, headers=headers))
        while not app.calls:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(bridge.stop(signal.SIGTERM))
        async with await asking as answer:
            assert (answer.status, (await answer.json())["status"]) == (202, "Running")
        app.release.set()
        assert await stopping == 0


async def under_way(bridge: BridgeProcess, app: Scripted, name: str) -> None:
    """Return when the function is being called for a run of that name; it answers when `app.release` is set."""
    async with Http(bridge.url) as http, http.post("/v1/automations/patient/requests", json={}, headers={"X-Correlation-Id": name}):
        pass
    while not app.calls:
        await asyncio.sleep(0.01)


async def closed(bridge: BridgeProcess) -> None:
    """Return when nobody listens any more."""
    async with Http(bridge.url) as http:
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                async with http.get("/healthz/live"):
                    await asyncio.sleep(0.01)


async def test_a_call_that_lasts_longer_than_the_drain_is_made_again_after_the_restart(bridge: BridgeProcess, app: Scripted) -> None:
    await bridge.stop()
    bridge.config += "drain: 200ms\n"
    await bridge.start()
    await under_way(bridge, app, "cut-short")
    assert await bridge.stop(signal.SIGTERM) == 0
    app.release.set()
    await bridge.start()
    async with Http(bridge.url) as http, http.get("/v1/requests/cut-short?wait=30") as answer:
        run = await answer.json()
    assert [attempt["outcome"] for attempt in run["invocations"][0]["attempts"]] == ["Unknown", "Succeeded"]
    assert [(headers["x-invocation-id"], headers["x-attempt"]) for _, headers, _ in app.calls] == [
        ("cut-short/slow", "1"),
        ("cut-short/slow", "2"),
    ]


async def test_every_call_in_hand_at_a_kill_is_made_again_in_time_under_the_policy_that_is_shipped(
    bridge: BridgeProcess, app: Scripted, tmp_path: Path
) -> None:
    """Under it a call may take longer than the whole run, so waiting for the end of the lost one would be waiting past the deadline."""
    await bridge.stop()
    shipped = (ROOT / "functions" / "resiliency.yaml").read_text().replace("python-functions", "scripted")
    (tmp_path / "shipped.yaml").write_text(shipped)
    bridge.config = re.sub("resiliency: .*", f"resiliency: {tmp_path / 'shipped.yaml'}", bridge.config)
    await bridge.start()
    names = [f"in-hand-{number}" for number in range(40)]
    async with Http(bridge.url) as http:
        for name in names:
            async with http.post("/v1/automations/patient/requests", json={}, headers={"X-Correlation-Id": name}) as answer:
                assert answer.status == 202
    while len(app.calls) < 20:
        await asyncio.sleep(0.01)
    await bridge.kill()
    app.release.set()
    await bridge.start()
    async with Http(bridge.url) as http:
        for name in names:
            async with http.get(f"/v1/requests/{name}?wait=20") as answer:
                run = await answer.json()
            outcomes = [attempt["outcome"] for attempt in run["invocations"][0]["attempts"]]
            assert (run["status"], outcomes) in (("Succeeded", ["Unknown", "Succeeded"]), ("Succeeded", ["Succeeded"])), name
    assert set(app.effects.values()) <= {1, 2}


async def test_a_second_sigterm_ends_at_once_and_nothing_is_lost(bridge: BridgeProcess, app: Scripted) -> None:
    await under_way(bridge, app, "hurried")
    assert bridge.process is not None
    bridge.process.send_signal(signal.SIGTERM)
    await closed(bridge)
    assert await bridge.stop(signal.SIGTERM) == 128 + signal.SIGTERM
    app.release.set()
    await bridge.start()
    async with Http(bridge.url) as http, http.get("/v1/requests/hurried?wait=30") as answer:
        assert (await answer.json())["status"] == "Succeeded"


async def test_what_is_asked_of_a_stopping_bridge_is_refused_or_kept(bridge: BridgeProcess, app: Scripted) -> None:
    accepted: list[str] = []

    async def caller(number: int) -> None:
        """Until it is refused."""
        async with Http(bridge.url) as http:
            for count in itertools.count():
                name = f"c{number}-{count}"
                async with http.post("/v1/automations/echo/requests", json={}, headers={"X-Correlation-Id": name}) as answer:
                    answer.raise_for_status()
                accepted.append(name)

    await under_way(bridge, app, "first")
    callers = [asyncio.create_task(caller(number)) for number in range(8)]
    while len(accepted) < 20:
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(bridge.stop(signal.SIGTERM))
    refused = await asyncio.gather(*callers, return_exceptions=True)
    assert {isinstance(each, aiohttp.ClientError) for each in refused} == {True}, refused
    app.release.set()
    assert await stopping == 0
    await bridge.start()
    async with Http(bridge.url) as http:
        for name in accepted:
            async with http.get(f"/v1/requests/{name}?wait=20") as answer:
                assert (await answer.json())["status"] == "Succeeded"


async def test_a_second_bridge_on_the_same_data_is_refused_with_the_reason(bridge: BridgeProcess) -> None:
    other = BridgeProcess(bridge.data_dir, bridge.config, environment=bridge.environment)
    assert bridge.process is not None
    with pytest.raises(AssertionError, match=f"is in use by the bridge with process id {bridge.process.pid};"):
        await other.start()


def _on(data_dir: Path, folder: Path, app: Scripted) -> BridgeProcess:
    """A bridge whose configuration and log lie in a folder of its own, and its data does not."""
    data_dir.mkdir(exist_ok=True)
    folder.mkdir()
    (folder / "data").symlink_to(data_dir)
    return BridgeProcess(folder / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY})


async def test_of_ten_bridges_started_at_once_on_the_same_data_one_serves(app: Scripted, tmp_path: Path) -> None:
    several = [_on(tmp_path / "data", tmp_path / str(number), app) for number in range(10)]
    started = await asyncio.gather(*(each.start() for each in several), return_exceptions=True)
    (serving,) = [each for each in started if isinstance(each, BridgeProcess)]
    refused = [str(each) for each in started if isinstance(each, AssertionError)]
    assert len(refused) == 9
    assert all("is in use by the bridge with process id" in each and "Traceback" not in each for each in refused)
    async with (
        Http(serving.url) as http,
        http.post("/v1/automations/echo/requests", json={}, headers={"Prefer": "wait=20"}) as answer,
    ):
        assert answer.status == 200
    await serving.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "bridge.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_files_with_secrets_are_for_their_owner_only(bridge: BridgeProcess) -> None:
    for name in ("bridge.db", "signing.key", "servicebus.json", "servicebus.key"):
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
