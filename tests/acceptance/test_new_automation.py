"""`bridge new automation` in an empty folder: its test passes, and its sample event is answered by a real `bridge up`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.test_functions import need_functions
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh

NAME = "words.count"
PATIENCE = 60.0  #: seconds for the host to start the app
OWN_TEST = {
    "python": lambda: [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
    "powershell": lambda: [str(pwsh()), "-NoProfile", "-NonInteractive", "-Command", "Invoke-Pester tests -CI"],
    "go": lambda: ["go", "test", "."],
}


def need_language(language: str) -> None:
    need_functions()
    if language == "powershell":
        need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    if language == "go":
        need(shutil.which("go") is not None, "there is no go")


def make(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "bridge", "new", "automation", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert made.returncode == 0, made.stderr


async def answered(bridge: BridgeProcess, app: str, event: bytes) -> Any:
    """The run that the event leads to, once the app is there."""
    known = bridge.data_dir / "functions.json"
    async with asyncio.timeout(PATIENCE):
        while not known.exists() or app not in known.read_text():
            await asyncio.sleep(0.1)
    headers = {"content-type": "application/cloudevents+json", "prefer": "wait=30"}
    async with aiohttp.ClientSession() as http, http.post(f"{bridge.url}/v1/events", data=event, headers=headers) as answer:
        return await answer.json()


def run_own_test(language: str, app: Path) -> None:
    own = subprocess.run(OWN_TEST[language](), cwd=app, capture_output=True, text=True, timeout=240, check=False)
    assert own.returncode == 0, own.stdout + own.stderr


@pytest.mark.parametrize("trigger", ["http", "topic"])
@pytest.mark.parametrize("language", ["python", "powershell", "go"])
async def test_a_new_automation_works_at_once(tmp_path: Path, language: str, trigger: str) -> None:
    need_language(language)
    make(tmp_path, NAME, "--language", language, "--trigger", trigger)
    app = tmp_path / "functions" / language

    run_own_test(language, app)

    event = (app / ("testdata" if language == "go" else "tests") / f"{NAME}.json").read_bytes()
    files = {"catalogue": "functions/automations.yaml", "functions": "functions", "functions_port": 0}
    if trigger == "topic":
        files["entities"] = "components/servicebus.json"
    config = json.dumps({name: value if value == 0 else str(tmp_path / str(value)) for name, value in files.items()})
    environment = {"BRIDGE_PWSH": str(pwsh()), "BRIDGE_FUNCTIONS_PYTHON": str(ROOT / ".venv-functions/bin/python")}
    async with BridgeProcess(tmp_path / "data", config=config, environment=environment) as bridge:
        run = await answered(bridge, f"{language}-functions", event)

    assert (run["status"], run.get("output")) == ("Succeeded", {"words": 6}), run
