"""What the bridge says when it has no room, and when it cannot start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted


async def test_without_room_nothing_is_accepted_and_the_caller_told_when_to_come_back(app: Scripted, tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path / "data", scripted_config(app.url, "data_limit: 1"), environment={"SCRIPTED_KEY": KEY})
    async with bridge, aiohttp.ClientSession(bridge.url) as http:
        async with http.post("/v1/automations/echo/requests", json={"text": "x"}, headers={"X-Correlation-Id": "full-1"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "Full")
            assert int(answer.headers["Retry-After"]) > 0
        async with http.get("/v1/requests/full-1") as answer:
            assert answer.status == 404
        async with http.get("/healthz/ready") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "not ready")
    assert app.calls == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "resiliency",
            "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: x}\nspec: {targets: {apps: {scripted: {retry: nope}}}}",
            "nope",
        ),
        ("resiliency", "a: [", "is not YAML"),
        ("catalogue", "apiVersion: bridge/v1\nkind: Automation\nmetadata: {name: x}\nspec: {dedline: 5s}", "did you mean 'deadline'"),
        ("entities", "{}", "UserConfig"),
    ],
)
async def test_a_file_that_cannot_be_used_stops_the_start_with_its_name_and_the_mend(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / "broken").write_text(text)
    bridge = BridgeProcess(tmp_path / "data", f"{name}: {tmp_path / 'broken'}\n")
    with pytest.raises(AssertionError) as refused:
        await bridge.start()
    assert bridge.process is not None
    assert await bridge.process.wait() == 2
    assert str(tmp_path / "broken") in str(refused.value)
    assert said in str(refused.value)
    assert "Traceback" not in str(refused.value)


async def test_the_database_shrinks_when_most_runs_are_gone(app: Scripted, tmp_path: Path) -> None:
    """1,000 free pages (4 MB) stay, and so do replies that nobody takes, which have no input."""
    given = {"seconds": 0.01, "text": "x" * 100_000}
    bridge = BridgeProcess(tmp_path / "data", scripted_config(app.url, "retention: 10s"), environment={"SCRIPTED_KEY": KEY})
    file = bridge.data_dir / "bridge.db"
    async with bridge, aiohttp.ClientSession(bridge.url) as http:

        async def ask() -> None:
            async with http.post("/v1/automations/patient/requests", json=given, headers={"Prefer": "wait=20"}) as answer:
                assert answer.status == 200

        await asyncio.gather(*(ask() for _ in range(100)))
        assert file.stat().st_size > 8_000_000
        async with asyncio.timeout(60):
            while file.stat().st_size > 6_000_000:
                await asyncio.sleep(0.2)
