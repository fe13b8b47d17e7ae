"""The disk is asked: a request is accepted, and a message acknowledged, when the disk has confirmed it, and never if it could not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.chaos.door import Refused, door
from tests.disk_kit import FAILS, slow, syncing

Http = aiohttp.ClientSession


@pytest.fixture
async def bridge(app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    async with BridgeProcess(tmp_path / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY}) as process:
        yield process


@pytest.fixture
async def http(bridge: BridgeProcess) -> AsyncIterator[Http]:
    async with Http(bridge.url, timeout=aiohttp.ClientTimeout(60)) as session:
        yield session


def pid(bridge: BridgeProcess) -> int:
    assert bridge.process is not None
    return bridge.process.pid


async def ask(http: Http, name: str, **headers: str) -> tuple[int, Any]:
    headers = {"X-Correlation-Id": name, **headers}
    async with http.post("/v1/automations/echo/requests", json={"text": name}, headers=headers) as answer:
        return answer.status, await answer.json()


def requested(name: str) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": name, "source": "/test", "type": "automation.requested", "subject": "echo"}
    return {**event, "data": {"text": name}}


async def readiness(http: Http) -> tuple[int, str]:
    async with http.get("/healthz/ready") as answer:
        return answer.status, (await answer.json())["parts"]["disk"]


async def assert_ended(http: Http, *names: str) -> None:
    for name in names:
        async with http.get(f"/v1/requests/{name}?wait=30") as answer:
            assert (await answer.json())["status"] == "Succeeded", name


async def test_a_sync_that_failed_is_never_a_yes_and_when_the_disk_syncs_again_it_goes_on(bridge: BridgeProcess, http: Http) -> None:
    assert (await ask(http, "before", Prefer="wait=20"))[0] == 200
    async with door(bridge.data_dir) as bus:
        async with syncing(pid(bridge), FAILS):
            answers = await asyncio.gather(*(ask(http, f"lost-{number}") for number in range(20)))
            assert {(status, body["code"]) for status, body in answers} == {(503, "Unavailable")}
            with pytest.raises(Refused):
                await bus.send_event("automation-requests", requested("lost-event"))
            status, why = await readiness(http)
            assert (status, "SQLITE_IOERR_FSYNC" in why) == (503, True)
        async with asyncio.timeout(15):
            while (await readiness(http))[0] != 200:
                await asyncio.sleep(0.1)
        assert (await ask(http, "after"))[0] == 202
        await bus.send_event("automation-requests", requested("after-event"))
    await bridge.kill()
    await bridge.start()
    async with Http(bridge.url) as again:
        await assert_ended(again, "before", "after", "after-event")


@pytest.mark.parametrize("error", ["EROFS", "EIO", "ENOSPC"])
async def test_a_disk_that_takes_no_writes_any_more_is_named_and_nothing_is_accepted(bridge: BridgeProcess, http: Http, error: str) -> None:
    assert (await ask(http, "before", Prefer="wait=20"))[0] == 200
    async with syncing(pid(bridge), f"error={error}", "pwrite64,pwritev,ftruncate"):
        assert (await ask(http, "refused"))[0] == 503
        assert (await readiness(http))[0] == 503
    async with asyncio.timeout(15):
        while (await readiness(http))[0] != 200:
            await asyncio.sleep(0.1)
    assert (await ask(http, "after", Prefer="wait=20"))[0] == 200


async def test_a_disk_that_cannot_be_read_is_named_and_no_run_is_taken_for_unknown(bridge: BridgeProcess, http: Http) -> None:
    assert (await ask(http, "before", Prefer="wait=20"))[0] == 200
    await bridge.stop()
    await bridge.start()
    async with Http(bridge.url) as again, syncing(pid(bridge), FAILS, "pread64"), again.get("/v1/requests/before") as answer:
        status, why = await readiness(again)
        assert (answer.status, status, "cannot be read" in why) == (503, 503, True)
    await bridge.stop()
    await bridge.start()
    async with Http(bridge.url) as again:
        await assert_ended(again, "before")


async def test_a_yes_comes_only_after_the_sync(bridge: BridgeProcess, http: Http) -> None:
    async with door(bridge.data_dir) as bus, syncing(pid(bridge), slow(3)):
        asked = asyncio.create_task(ask(http, "slow"))
        sent = asyncio.create_task(bus.send_event("automation-requests", requested("slow-event")))
        assert (await asyncio.wait({asked, sent}, timeout=1.5))[0] == set()
        assert (await asked)[0] == 202
        await sent
    await bridge.kill()
    await bridge.start()
    async with Http(bridge.url) as again:
        await assert_ended(again, "slow", "slow-event")
