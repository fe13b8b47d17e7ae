"""A full disk: nothing is accepted that cannot be kept, nothing that was accepted is lost, and it ends when there is room again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.queue_client import queue
from tests.acceptance.scripted import KEY, Scripted
from tests.acceptance.small_disk import SmallDisk, small_disk
from tests.acceptance.test_audit import audit

MEGABYTES = 8
LONGEST = aiohttp.ClientTimeout(40)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[SmallDisk]:
    async with small_disk(tmp_path / "disk", MEGABYTES) as mounted:
        yield mounted


@pytest.fixture
async def bridge(app: Scripted, disk: SmallDisk) -> AsyncIterator[BridgeProcess]:
    async with BridgeProcess(disk.path, scripted_config(app.url), environment={"SCRIPTED_KEY": KEY}, prefix=disk.prefix) as process:
        yield process


async def ask(http: aiohttp.ClientSession, name: str) -> tuple[int, Any, int]:
    """Status, body and Retry-After."""
    headers = {"X-Correlation-Id": name}
    async with http.post("/v1/automations/echo/requests", json={"text": "x" * 2_000}, headers=headers) as answer:
        return answer.status, await answer.json(), int(answer.headers.get("Retry-After", 0))


async def fill_under_load(http: aiohttp.ClientSession, disk: SmallDisk) -> list[str]:
    """Four callers go on until each was refused ten times; the ids that were accepted."""
    accepted: list[str] = []

    async def caller(number: int) -> None:
        refused = count = 0
        while refused < 10:
            count += 1
            assert count < 2_000, "the disk is full, and everything is accepted"
            status, body, retry_after = await ask(http, f"c{number}-{count}")
            assert status == 202 or (status == 503 and retry_after > 0 and "disk" in body["detail"]), body
            refused += status == 503
            if status == 202:
                accepted.append(f"c{number}-{count}")
            if count == 20:
                disk.fill()

    await asyncio.gather(*map(caller, range(4)))
    return accepted


async def readiness(http: aiohttp.ClientSession) -> tuple[int, Any]:
    async with http.get("/healthz/ready") as answer:
        return answer.status, (await answer.json())["parts"]


async def ended(http: aiohttp.ClientSession, name: str) -> str:
    async with http.get(f"/v1/requests/{name}?wait=30") as answer:
        status: str = (await answer.json())["status"]
        return status


async def assert_all_kept(bridge: BridgeProcess, disk: SmallDisk, accepted: list[str]) -> None:
    """Every one has succeeded and has its reply, and the account fits."""
    async with aiohttp.ClientSession(bridge.url, timeout=LONGEST) as http:
        assert {name: await ended(http, name) for name in accepted} == dict.fromkeys(accepted, "Succeeded")
    replied: set[str] = set()
    async with queue(disk.seen) as bus:
        while not replied.issuperset(accepted):
            replied.add((await bus.receive("automation-replies/requesters"))[0]["correlationid"])
    (bridge.data_dir.parent / "accepted").write_text("\n".join(accepted))
    code, said = await audit(bridge, "--accepted", str(bridge.data_dir.parent / "accepted"))
    assert code == 0, said


async def stopped_and_whole(bridge: BridgeProcess, disk: SmallDisk, folder: Path) -> bool:
    await bridge.stop()
    for file in disk.seen.glob("bridge.db*"):
        (folder / file.name).write_bytes(file.read_bytes())
    with sqlite3.connect(folder / "bridge.db") as database:
        found: list[tuple[str]] = database.execute("PRAGMA integrity_check").fetchall()
    database.close()
    return found == [("ok",)]


async def test_a_full_disk_refuses_and_when_there_is_room_again_it_goes_on(bridge: BridgeProcess, disk: SmallDisk, tmp_path: Path) -> None:
    async with aiohttp.ClientSession(bridge.url, timeout=LONGEST) as http:
        accepted = await fill_under_load(http, disk)
        assert len(accepted) >= 20
        status, parts = await readiness(http)
        assert (status, "full" in parts["disk"]) == (503, True)
        async with http.get(f"/v1/requests/{accepted[0]}") as answer:
            assert answer.status in (200, 202)
        disk.free()
        async with asyncio.timeout(30):
            while (await readiness(http))[0] != 200:
                await asyncio.sleep(0.1)
        assert (await ask(http, "afterwards"))[0] == 202
    await assert_all_kept(bridge, disk, [*accepted, "afterwards"])
    assert await stopped_and_whole(bridge, disk, tmp_path)


async def test_killed_on_a_full_disk_the_bridge_says_what_it_needs_and_then_has_everything(
    bridge: BridgeProcess, disk: SmallDisk, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession(bridge.url, timeout=LONGEST) as http:
        accepted = await fill_under_load(http, disk)
    await bridge.kill()
    disk.fill()
    with pytest.raises(AssertionError, match=r"disk is full|No space left") as refused:
        await bridge.start()
    assert "Traceback" not in str(refused.value)
    disk.free()
    await bridge.start()
    await assert_all_kept(bridge, disk, accepted)
    assert await stopped_and_whole(bridge, disk, tmp_path)


async def test_on_a_disk_that_is_read_only_the_start_is_refused_with_the_reason(
    bridge: BridgeProcess, disk: SmallDisk, tmp_path: Path
) -> None:
    await bridge.stop()
    remount = await asyncio.create_subprocess_exec(*disk.prefix, "mount", "-o", "remount,ro", str(disk.path))
    assert await remount.wait() == 0
    other = BridgeProcess(disk.path, bridge.config, environment=bridge.environment, prefix=disk.prefix)
    with pytest.raises(AssertionError, match=r"cannot be written \(Read-only file system\)") as refused:
        await other.start()
    assert "Traceback" not in str(refused.value)
