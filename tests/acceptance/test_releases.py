"""Records and messages of other releases: those of the one before are taken over, and what a later one adds does no harm on the way back.

`tables-1.json` is the file of a bridge of the release before (tables of version 1, records without a version), killed with a call and a
message in hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.acceptance import releases
from tests.acceptance.bridge_process import HERE, BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted, scripted
from tests.chaos import door
from tests.chaos.ledger import Ledger
from tests.chaos.programs import Worker

Http = aiohttp.ClientSession
ENDED = {"ended": "Succeeded", "failed": "Failed", "in-hand": "Succeeded", "on-topic": "Succeeded", "ev": "Succeeded"}


@asynccontextmanager
async def stopped(folder: Path) -> AsyncIterator[tuple[BridgeProcess, Scripted]]:
    """A bridge that is not started yet, with the functions of its app."""
    async with scripted() as app:
        bridge = BridgeProcess(folder / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY})
        try:
            yield bridge, app
        finally:
            if bridge.process is not None:
                await bridge.stop()


async def worked(bridge: BridgeProcess) -> None:
    """Do the work of one message on the topic."""
    worker = Worker(Ledger())
    async with door.door(bridge.data_dir) as program:
        async for message in program.receive("work/worker", 1):
            await worker.handle(program, message)
            return


async def runs(bridge: BridgeProcess, *ids: str) -> dict[str, Any]:
    """Each when it has ended."""

    async def look(http: Http, each: str) -> Any:
        while True:
            async with http.get(f"/v1/requests/{each}?wait=30") as answer:
                if answer.status != 202:
                    return await answer.json()

    async with Http(bridge.url) as http:
        return dict(zip(ids, await asyncio.gather(*(look(http, each) for each in ids)), strict=True))


async def audit(bridge: BridgeProcess) -> Any:
    async with Http(bridge.url) as http, http.get("/v1/audit") as answer:
        return await answer.json()


async def test_a_bridge_takes_over_the_file_of_the_release_before(tmp_path: Path) -> None:
    tables = json.loads((HERE / "tables-1.json").read_text())
    assert all("version" not in json.loads(row["value"]) for row in tables["rows"]["state"])
    async with stopped(tmp_path) as (bridge, app):
        releases.write(bridge.data_dir, releases.moved(tables, datetime.now(UTC)))
        app.release.set()
        await bridge.start()
        await worked(bridge)
        found = await runs(bridge, *ENDED)
        assert {name: run["status"] for name, run in found.items()} == ENDED
        assert found["ended"]["output"] == {"text": "x", "number": 2**60, "password": "***"}
        assert [each["outcome"] for each in found["in-hand"]["invocations"][0]["attempts"]] == ["Unknown", "Succeeded"]
        account = await audit(bridge)
        assert (account["accepted"], account["unfinished"], account["misfitCount"]) == (5, 0, 0)
        async with Http(bridge.url) as http:
            repeat = {"text": "x", "number": 2**60, "password": "hidden"}
            async with http.post("/v1/automations/echo/requests", json=repeat, headers={"X-Correlation-Id": "ended"}) as answer:
                assert (answer.status, (await answer.json())["createdAt"]) == (200, found["ended"]["createdAt"])


def later(key: str, value: Any) -> Any:
    """A record or an event as a later release might write it: with more fields everywhere, and a number of its own."""
    if isinstance(value, dict):
        more = {name: later(key, each) if name not in ("input", "data", "output") else each for name, each in value.items()}
        return (
            {**more, "addedlater": "x"}
            if "specversion" in more
            else {**more, "addedLater": {"a": [1]}, **({"version": 2} if "version" in more else {})}
        )
    return [later(key, each) for each in value] if isinstance(value, list) else value


async def test_what_a_later_release_adds_is_let_be_on_the_way_back(tmp_path: Path) -> None:
    async with stopped(tmp_path) as (bridge, app):
        await bridge.start()
        async with Http(bridge.url) as http:
            for name, automation, value in (("ended", "echo", {"text": "x"}), ("in-hand", "patient", {}), ("on-topic", "topic.work", {})):
                async with http.post(f"/v1/automations/{automation}/requests", json=value, headers={"X-Correlation-Id": name}):
                    pass
        await runs(bridge, "ended")
        while not any(path == "/api/slow" for path, *_ in app.calls):
            await asyncio.sleep(0.01)
        await bridge.kill()
        releases.write(bridge.data_dir, releases.rewritten(releases.read(bridge.data_dir), later))
        app.release.set()
        await bridge.start()
        await worked(bridge)
        found = await runs(bridge, "ended", "in-hand", "on-topic")
        assert {run["status"] for run in found.values()} == {"Succeeded"}
        account = await audit(bridge)
        assert (account["accepted"], account["unfinished"], account["misfitCount"], account["deadLetters"]) == (3, 0, 0, {})
        await bridge.stop()
        plans = {row["key"]: row["value"] for row in releases.read(bridge.data_dir)["rows"]["state"]}
        target = json.loads(plans["run/on-topic"])["invocations"][0]["control"]["target"]
        assert target["topic"]["addedLater"] == {"a": [1]}, "the plan has lost what only the later release knows"


def unknown(key: str, value: Any) -> Any:
    """A run in a state that only a later release knows."""
    return {**value, "status": "Paused", "version": 2} if key == "run/in-hand" else value


async def test_a_run_that_only_a_later_release_can_read_waits_for_it(tmp_path: Path) -> None:
    async with stopped(tmp_path) as (bridge, app):
        await bridge.start()
        async with Http(bridge.url) as http:
            async with http.post(
                "/v1/automations/unhurried/requests", json={}, headers={"X-Correlation-Id": "before", "Prefer": "wait=20"}
            ):
                pass
            async with http.post("/v1/automations/patient/requests", json={}, headers={"X-Correlation-Id": "in-hand"}):
                pass
        while not any(path == "/api/slow" for path, *_ in app.calls):
            await asyncio.sleep(0.01)
        await bridge.kill()
        kept = releases.read(bridge.data_dir)
        releases.write(bridge.data_dir, releases.rewritten(kept, unknown))
        await bridge.start()
        async with Http(bridge.url) as http, http.get("/v1/requests/in-hand") as answer:
            problem = await answer.json()
            assert (answer.status, problem["code"]) == (503, "Unavailable")
            assert "written by a later release (records of version 2)" in problem["detail"]
        assert (await runs(bridge, "before"))["before"]["status"] == "Succeeded"
        await bridge.stop()

        # The later release comes back. Here this one stands for it, with the run as it can read it.
        left = releases.read(bridge.data_dir)
        (record,) = [row for row in kept["rows"]["state"] if row["key"] == "run/in-hand"]
        releases.write(
            bridge.data_dir, releases.rewritten(left, lambda key, value: json.loads(record["value"]) if key == "run/in-hand" else value)
        )
        app.release.set()
        await bridge.start()
        assert (await runs(bridge, "in-hand"))["in-hand"]["status"] == "Succeeded"
        assert (await audit(bridge))["deadLetters"] == {}
