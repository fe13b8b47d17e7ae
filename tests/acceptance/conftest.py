from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted, scripted


@pytest.fixture
async def app() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
async def bridge(app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    process = BridgeProcess(tmp_path / "data", scripted_config(app.url), environment={"SCRIPTED_KEY": KEY})
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
async def http(bridge: BridgeProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(bridge.url) as session:
        yield session
