from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.local.functions.servicebus.namespaces import own_queue
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed
from tests import forks

from .feed_kit import QUICK, running
from .namespace import Namespace
from .powershell_kit import pwsh, write_files

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

    process: subprocess.Popen[bytes] | forks.Process
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


def wait_until(fact: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.02)


StartHost = Callable[..., Host]
StartApp = Callable[..., Host]


def need(fact: bool, reason: str) -> None:
    """Skip without `fact`; where everything must be there, fail."""
    if not fact:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@cache
def _has_the_runtime() -> bool:
    return subprocess.run([PYTHON, "-c", "import azure_functions_runtime"], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=["azure-functions-runtime", "azure-functions"])
def python(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An interpreter for each engine."""
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    if request.param == "azure-functions":
        wrapper = tmp_path / "python-without-runtime"
        wrapper.write_text(WITHOUT_RUNTIME.format(python=PYTHON))
        wrapper.chmod(0o700)
        return str(wrapper)
    need(_has_the_runtime(), f"{PYTHON} has no azure-functions-runtime, which needs Python 3.13")
    return str(PYTHON)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def run_host(arguments: Sequence[str], log: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | forks.Process:
    module = "bridge.local.functions"
    if forks.POSSIBLE:
        return forks.run(module, *arguments, environment=environment, stderr=log)
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=CHECKOUT, stderr=log, env=environment)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def namespace(data_dir: Path) -> AsyncIterator[Namespace]:
    async with Namespace(data_dir) as namespace:
        yield namespace


@pytest.fixture
async def feed(namespace: Namespace) -> AsyncIterator[ServiceBusFeed]:
    async with running(ServiceBusFeed(own_queue(namespace.data_dir), QUICK)) as opened:
        yield opened


class Hosts:
    """Starts hosts and, at the end, kills what is left of them."""

    def __init__(self) -> None:
        self._started: list[Host] = []

    def start(self, data_dir: Path, apps: Path, host_json: Path, *arguments: str, **environment: str) -> Host:
        """A host whose `functions.json` is there, or which has ended."""
        options = ["--apps", str(apps), "--data-dir", str(data_dir), "--port", "0", "--host-json", str(host_json)]
        with (data_dir / "host.log").open("wb") as log:
            process = run_host([*options, *arguments], log.fileno(), {**os.environ, **environment})
        self._started.append(Host(process, data_dir))
        wait_until(lambda: (data_dir / "functions.json").exists() or process.poll() is not None, "functions.json")
        return self._started[-1]

    def kill(self) -> None:
        for host in self._started:
            if host.process.poll() is None:
                host.process.kill()
            host.process.wait()


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    started = Hosts()
    yield started
    started.kill()


@pytest.fixture
def start_host(python: str, data_dir: Path, tmp_path: Path, hosts: Hosts) -> StartHost:
    """Starts hosts of the sample app."""

    def start(*arguments: str, host_json: dict[str, Any] | None = None, **environment: str) -> Host:
        shared = tmp_path / "host.json"
        shared.write_text(json.dumps({"version": "2.0", **(host_json or {})}))
        return hosts.start(data_dir, APPS, shared, "--python", python, *arguments, **environment)

    return start


@pytest.fixture
def start_app(data_dir: Path, tmp_path: Path, hosts: Hosts) -> StartApp:
    """Starts hosts of an app with these functions and files."""
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")

    def start(
        functions: dict[str, dict[str, str]],
        files: dict[str, str] | None = None,
        host_json: dict[str, Any] | None = None,
        arguments: Sequence[str] = (),
        **environment: str,
    ) -> Host:
        for name, folder in functions.items():
            write_files(tmp_path / "apps" / "sample" / name, folder)
        write_files(tmp_path / "apps" / "sample", files or {})
        shared = tmp_path / "host.json"
        shared.write_text(json.dumps({"version": "2.0", **(host_json or {})}))
        return hosts.start(data_dir, tmp_path / "apps", shared, *arguments, **{"BRIDGE_PWSH": str(pwsh()), **environment})

    return start
