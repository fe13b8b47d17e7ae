"""The process of a functions host for the apps of recorded vectors, from its start to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from bridge.local.functions import powershell
from tests import forks

from .conftest import run_host, wait_until
from .powershell_kit import pwsh


def start_process(folder: Path) -> subprocess.Popen[bytes] | forks.Process:
    """Start a host for the apps in a folder, which sees no settings of this process for functions."""
    options = ["--apps", folder / "apps", "--data-dir", folder / "data", "--port", "0", "--host-json", folder / "host.json"]
    hidden = ("AzureWebJobs", "AzureFunctionsJobHost", "FUNCTIONS_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(hidden)}
    if (program := pwsh()) is not None:
        environment[powershell.VARIABLE] = program
    with (folder / "host.log").open("wb") as log:
        return run_host([str(each) for each in options], log.fileno(), environment)


def wait_for_apps(folder: Path, count: int) -> dict[str, Any]:
    """Wait until the host has named so many apps; what it says of each."""
    file = folder / "data" / "functions.json"
    wait_until(lambda: file.exists() and len(json.loads(file.read_text())) == count, f"all apps; see {folder / 'host.log'}", 90)
    entries: dict[str, Any] = json.loads(file.read_text())
    return entries


def end_process(process: subprocess.Popen[bytes] | forks.Process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except (TimeoutError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()
