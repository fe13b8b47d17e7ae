"""C# functions as targets beside functions in other languages, in a functions host beside the bridge."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.local.functions import dotnet_kit
from tests.local.functions.conftest import PYTHON, need
from tests.local.functions.powershell_kit import HTTP, pwsh, write_files

PYTHON_APP = """
import azure.functions as func

app = func.FunctionApp()


@app.route("greet", methods=["POST"])
def greet(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"Python greets {req.get_json()['name']}")
"""
SCRIPT = 'param($Request)\nPush-OutputBinding -Name Response -Value @{ Body = "PowerShell greets $($Request.Body.name)" }\n'
CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: greet.all, description: "One function in each of three languages"}
spec:
  input: {type: object, required: [name], properties: {name: {type: string}}}
  deadline: 1m
  targets:
  - {name: python, http: {app: py-functions, path: /api/greet}}
  - {name: powershell, http: {app: ps-functions, path: /api/greet}}
  - {name: csharp, http: {app: plain-functions, method: GET, path: /api/Hello, query: {name: /name}}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: csharp.throws, description: "A C# function that throws"}
spec:
  input: {type: object}
  deadline: 1m
  targets:
  - {name: throws, http: {app: plain-functions, method: GET, path: /api/throw/inner}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: csharp.slow, description: "A C# function that takes a minute"}
spec:
  input: {type: object, properties: {ms: {type: string}}}
  deadline: 2m
  targets:
  - {name: slow, http: {app: plain-functions, method: GET, path: /api/Slow, query: {ms: /ms}}}
"""
CONFIG = """
catalogue: {folder}/automations.yaml
functions: {folder}/apps
functions_port: 0
cancel_grace: 10m
"""

Http = aiohttp.ClientSession


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    apps = tmp_path / "apps"
    write_files(apps / "py", {"function_app.py": PYTHON_APP})
    write_files(apps / "ps", {"greet/function.json": json.dumps({"bindings": HTTP}), "greet/run.ps1": SCRIPT})
    dotnet_kit.copy_app("plain", apps / "plain")
    settings = {"IsEncrypted": False, "Values": {"TICK_SCHEDULE": "0 0 0 1 1 *"}}
    (apps / "plain" / "local.settings.json").write_text(json.dumps(settings))
    (tmp_path / "automations.yaml").write_text(CATALOGUE)
    environment = {"BRIDGE_PWSH": str(pwsh()), "BRIDGE_DOTNET": str(dotnet_kit.runner()), "BRIDGE_FUNCTIONS_PYTHON": str(PYTHON)}
    async with BridgeProcess(tmp_path / "data", CONFIG.format(folder=tmp_path), (), environment) as made:
        await _until(lambda: len(_entries(made)) == 3)
        yield made


def _entries(bridge: BridgeProcess) -> Any:
    file = bridge.data_dir / "functions.json"
    return json.loads(file.read_text()) if file.exists() else {}


async def _until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not fact():
            await asyncio.sleep(0.05)


async def _ask(bridge: BridgeProcess, automation: str, wait: int = 50, **order: Any) -> Any:
    headers = {"X-Correlation-Id": "r-1", "Prefer": f"wait={wait}"} if wait else {"X-Correlation-Id": "r-1"}
    async with Http(bridge.url) as http, http.post(f"/v1/automations/{automation}/requests", json=order, headers=headers) as answer:
        assert answer.status in (200, 202), await answer.text()
        return await answer.json()


async def test_an_automation_fans_out_to_python_powershell_and_csharp(bridge: BridgeProcess) -> None:
    run = await _ask(bridge, "greet.all", name="Ada")
    assert run["status"] == "Succeeded", run
    outputs = {each["target"]: each["output"] for each in run["invocations"]}
    assert outputs == {"python": "Python greets Ada", "powershell": "PowerShell greets Ada", "csharp": "Hello, Ada!"}
    listed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "--json", "functions", "list", "--data-dir", str(bridge.data_dir)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    rows = json.loads((await listed.communicate())[0])
    (hello,) = [each for each in rows if (each["app"], each["function"]) == ("plain-functions", "Hello")]
    assert (hello["trigger"], hello["route"], hello["state"]) == ("httpTrigger", "GET,POST /api/Hello", "runs")


async def test_what_a_csharp_function_throws_is_the_error_of_its_run(bridge: BridgeProcess) -> None:
    run = await _ask(bridge, "csharp.throws")
    attempt = run["invocations"][0]["attempts"][0]
    assert (run["status"], attempt["code"], attempt["message"]) == ("Failed", "PlainApp.Life+OwnException", "outer text"), run


async def test_a_cancel_reaches_the_token_of_a_csharp_function(bridge: BridgeProcess) -> None:
    await _ask(bridge, "csharp.slow", wait=0, ms="60000")
    log = bridge.data_dir / "functions.log"
    await asyncio.sleep(3)  # the function runs by then, and says nothing until it ends
    async with Http(bridge.url) as http:
        async with http.delete("/v1/requests/r-1") as answer:
            assert answer.status == 202
        async with http.get("/v1/requests/r-1?wait=50") as answer:
            run = await answer.json()
    assert (run["status"], run["invocations"][0]["error"]["code"]) == ("Canceled", "Canceled"), run
    assert "TaskCanceledException" in log.read_text()
