from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[3]
APPS = Path(__file__).parent / "apps"
PYTHON = CHECKOUT / ".venv-functions" / "bin" / "python"

# Runs the worker as if azure-functions-runtime were not installed.
WITHOUT_RUNTIME = """#!{python}
import os, runpy, sys
sys.modules["azure_functions_runtime"] = None
sys.path.insert(0, os.getcwd())
runpy.run_module("pyworker", run_name="__main__", alter_sys=True)
"""


@dataclass
class Host:
    """A running host."""

    process: subprocess.Popen[bytes]
    data_dir: Path

    @property
    def app(self) -> dict[str, Any]:
        """The sample app's entry in functions.json."""
        entry: dict[str, Any] = json.loads((self.data_dir / "functions.json").read_text())["sample-functions"]
        return entry

    def url(self, path: str) -> str:
        return f"{self.app['url']}/api/{path}"

    @property
    def headers(self) -> dict[str, str]:
        return {"x-functions-key": self.app["key"]}

    @property
    def log(self) -> str:
        return (self.data_dir / "host.log").read_text()

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log, f"{text!r} in the log")

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


def wait_until(fact: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline, f"waited 20 s in vain for {what}"
        time.sleep(0.02)


StartHost = Callable[..., Host]


def need(fact: bool, reason: str) -> None:
    """Skip without `fact`; where everything must be there, fail."""
    if not fact:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(params=["azure-functions-runtime", "azure-functions"])
def python(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An interpreter for each engine."""
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    if request.param == "azure-functions":
        wrapper = tmp_path / "python-without-runtime"
        wrapper.write_text(WITHOUT_RUNTIME.format(python=PYTHON))
        wrapper.chmod(0o700)
        return str(wrapper)
    found = subprocess.run([PYTHON, "-c", "import azure_functions_runtime"], capture_output=True, check=False)
    need(found.returncode == 0, f"{PYTHON} has no azure-functions-runtime, which needs Python 3.13")
    return str(PYTHON)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def start_host(python: str, data_dir: Path, tmp_path: Path) -> Iterator[StartHost]:
    """Starts hosts of the sample app and stops what is left of them."""
    hosts: list[Host] = []

    def start(*arguments: str, host_json: dict[str, Any] | None = None, **environment: str) -> Host:
        shared = tmp_path / "host.json"
        shared.write_text(json.dumps({"version": "2.0", **(host_json or {})}))
        command = [sys.executable, "-m", "bridge.local.functions", "--apps", str(APPS), "--data-dir", str(data_dir), "--port", "0"]
        command += ["--host-json", str(shared), "--python", python, *arguments]
        with (data_dir / "host.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=CHECKOUT, stderr=log, env={**os.environ, **environment})
        hosts.append(Host(process, data_dir))
        wait_until(lambda: (data_dir / "functions.json").exists() or process.poll() is not None, "functions.json")
        return hosts[-1]

    yield start
    for host in hosts:
        if host.process.poll() is None:
            host.process.kill()
        host.process.wait()
