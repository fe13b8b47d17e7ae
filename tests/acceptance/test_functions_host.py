"""The functions host beside a bridge: what its supervisor says and keeps when things go wrong."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess

APP = """
import os
import azure.functions as func

app = func.FunctionApp()


@app.route("count", methods=["POST"])
def count(req: func.HttpRequest) -> func.HttpResponse:
    for _ in range(req.get_json().get("lines", 0)):
        os.write(2, b"x" * 1_000_000 + b"\\n")
    return func.HttpResponse(status_code=204)
"""


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """With a functions folder whose app is written by the test; not started yet."""
    if not (ROOT / ".venv-functions").exists():
        assert not os.environ.get("CI"), "make setup makes .venv-functions"
        pytest.skip("there is no .venv-functions: make setup")
    (tmp_path / "apps" / "counting").mkdir(parents=True)
    kit = HERE / "counting"
    config = f"catalogue: {kit / 'automations.yaml'}\nresiliency: {kit / 'resiliency.yaml'}\nentities: {HERE / 'servicebus.json'}\n"
    made = BridgeProcess(tmp_path / "data", config, ("--functions", str(tmp_path / "apps"), "--functions-port", "0"))
    yield made
    await made.stop()


def write_app(bridge: BridgeProcess, text: str) -> None:
    (bridge.data_dir.parent / "apps" / "counting" / "function_app.py").write_text(text)


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.02)


async def call(bridge: BridgeProcess, correlation_id: str, lines: int = 0) -> str:
    """The status in which a run of the app ends."""
    headers = {"X-Correlation-Id": correlation_id, "Prefer": "wait=50"}
    path = "/v1/automations/count.call/requests"
    async with aiohttp.ClientSession(bridge.url) as http, http.post(path, json={"lines": lines}, headers=headers) as answer:
        return str((await answer.json())["status"])


async def test_an_app_that_cannot_be_imported_is_told_once_and_runs_as_soon_as_it_is_mended(bridge: BridgeProcess) -> None:
    write_app(bridge, "import tables\n")
    await bridge.start()
    host_log = bridge.data_dir / "functions.log"
    await until(lambda: host_log.exists() and host_log.read_text().count("Cannot start:") >= 3)  # so the second end was told, or not
    assert bridge.log().count("No module named 'tables'") == 1
    assert "Traceback" not in bridge.log()
    write_app(bridge, APP)
    assert await call(bridge, "r-1") == "Succeeded"


async def test_the_log_of_functions_that_say_much_does_not_grow_for_ever(bridge: BridgeProcess) -> None:
    write_app(bridge, APP)
    await bridge.start()
    assert await call(bridge, "r-1", lines=25) == "Succeeded"
    log, old = bridge.data_dir / "functions.log", bridge.data_dir / "functions.log.old"
    await until(lambda: old.exists() and log.stat().st_size < 10_000_000)
    assert await call(bridge, "r-2") == "Succeeded"
    await until(lambda: "for r-2/call" in log.read_text())
    assert sorted(each.name for each in bridge.data_dir.glob("functions.*")) == ["functions.json", "functions.log", "functions.log.old"]
    assert json.loads((bridge.data_dir / "functions.json").read_text())["counting-functions"]["pid"]
