"""Apps that run on a worker which is neither the host's nor their own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions.rpc import otherworkers

from .conftest import CHECKOUT, Host, Hosts
from .powershell_kit import write_files

SCRIPT = Path(__file__).parent / "fake_worker.py"
VERSION = "%FUNCTIONS_WORKER_RUNTIME_VERSION%"


@pytest.fixture
def workers(tmp_path: Path) -> Path:
    """A folder as `BRIDGE_WORKERS` names it, with a worker for Node that is written in Python."""
    folder = tmp_path / "workers" / "node"
    description = {
        "language": "node",
        "defaultExecutablePath": sys.executable,
        "defaultWorkerPath": "dist/%FUNCTIONS_WORKER_RUNTIME_VERSION%/w.py",
    }
    write_files(folder, {"worker.config.json": json.dumps({"description": description})})
    (folder / "dist" / "22").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "dist" / "22" / "w.py")
    return tmp_path / "workers"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    values = {"FUNCTIONS_WORKER_RUNTIME": "node", "FUNCTIONS_WORKER_RUNTIME_VERSION": "22", "PYTHONPATH": str(CHECKOUT)}
    write_files(tmp_path / "apps" / "shop", {"host.json": '{"version": "2.0"}', "local.settings.json": json.dumps({"Values": values})})
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    return tmp_path / "apps"


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    started = Hosts()
    yield started
    started.kill()


async def test_an_app_in_another_language_runs_on_the_worker_that_is_named(
    app: Path, workers: Path, data_dir: Path, tmp_path: Path, hosts: Hosts
) -> None:
    host: Host = hosts.start(data_dir, app, tmp_path / "host.json", BRIDGE_WORKERS=str(workers))
    entry = json.loads((data_dir / "functions.json").read_text())["shop-functions"]
    headers = {"x-functions-key": entry["key"]}
    async with aiohttp.ClientSession() as http, http.get(f"{entry['url']}/api/F", headers=headers) as answer:
        assert answer.status == 203
    assert f"shop-functions runs on the node worker in {workers / 'node'}" in host.log


def test_an_app_in_another_language_without_a_worker_says_what_to_install(app: Path, data_dir: Path, tmp_path: Path, hosts: Hosts) -> None:
    host: Host = hosts.start(data_dir, app, tmp_path / "host.json", PATH="/nowhere")
    assert host.process.wait(timeout=20) == 2
    assert "there is no worker for it. Install Azure Functions Core Tools, or name a folder with workers in BRIDGE_WORKERS" in host.log


def test_languages_of_this_host_use_another_worker_only_if_it_is_named(workers: Path) -> None:
    shutil.copytree(workers / "node", workers / "python")
    assert otherworkers.find("python", {}, only_named=True) is None
    found = otherworkers.find("python", {"BRIDGE_WORKERS": str(workers)}, only_named=True)
    assert found is not None
    assert found.folder == (workers / "python").resolve()


def test_a_folder_of_workers_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="BRIDGE_WORKERS is /nowhere, which is not a folder"):
        otherworkers.find("node", {"BRIDGE_WORKERS": "/nowhere"}, only_named=False)


def test_core_tools_bring_workers_beside_their_program(workers: Path, tmp_path: Path) -> None:
    (workers.parent / "func").write_text("#!/bin/sh\n")
    (workers.parent / "func").chmod(0o700)
    found = otherworkers.find("node", {"PATH": str(tmp_path)}, only_named=False)
    assert found is not None
    assert found.language == "node"
