from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance import runtimes
from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.runtimes import NOT_ON, Bus, Runtime
from tests.acceptance.scripted import KEY, Scripted, scripted


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every scenario is tried on every runtime, unless `NOT_ON` says why it is not."""
    if "runtime_name" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        names = {module, metafunc.function.__name__}
        runtimes_of_it = [name for name, others in NOT_ON.items() if not names & others.keys()]
        metafunc.parametrize("runtime_name", runtimes_of_it, scope="module")


@pytest.fixture
async def app() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
async def runtime(runtime_name: str, tmp_path: Path) -> AsyncIterator[Runtime]:
    async with runtimes.runtime(runtime_name, tmp_path / "machine") as made:
        yield made


@pytest.fixture
async def bridge(runtime: Runtime, app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    async with runtime.bridge(tmp_path, scripted_config(app.url), {"SCRIPTED_KEY": KEY}) as process:
        yield process


@pytest.fixture
async def http(bridge: BridgeProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(bridge.url) as session:
        yield session


@pytest.fixture
async def bus(runtime: Runtime, bridge: BridgeProcess) -> AsyncIterator[Bus]:
    async with runtime.bus(bridge) as client:
        yield client
