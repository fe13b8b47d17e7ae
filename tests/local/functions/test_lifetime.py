"""Starting and stopping, seen on real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from .conftest import CHECKOUT, Host, StartHost, wait_until


async def worker_pid(host: Host) -> int:
    async with aiohttp.ClientSession() as http, http.post(host.url("talk"), headers=host.headers) as answer:
        return int((await answer.json(content_type=None))["pid"])


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"


async def test_it_tells_which_engine_runs_the_functions(start_host: StartHost, python: str) -> None:
    worker = start_host().app["worker"]

    assert (" alone on Python 3." in worker) is python.endswith("without-runtime")


async def test_a_function_that_runs_may_end_before_the_host_stops(start_host: StartHost) -> None:
    host = start_host()
    url, headers = host.url("sleep?seconds=1"), host.headers
    async with aiohttp.ClientSession() as http:
        running = asyncio.create_task(http.post(url, headers=headers))
        await asyncio.sleep(0.3)
        code = await asyncio.to_thread(host.stop)

        assert (await running).status == 204
    assert code == 0
    assert not (host.data_dir / "functions.json").exists()


async def test_no_worker_outlives_a_host_that_was_killed(start_host: StartHost) -> None:
    host = start_host()
    worker = await worker_pid(host)

    host.process.kill()

    wait_until(lambda: gone(worker), "the end of the worker")


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


async def test_the_host_ends_with_the_process_it_was_started_for(start_host: StartHost, parent: subprocess.Popen[bytes]) -> None:
    host = start_host("--parent", str(parent.pid))
    worker = await worker_pid(host)

    parent.communicate(b"\n")

    wait_until(lambda: host.process.poll() == 0, "the end of the host")
    assert gone(worker)


def test_an_app_that_cannot_be_loaded_ends_the_start_with_the_reason(start_host: StartHost, tmp_path: Path) -> None:
    host = start_host(START_MARK=str(tmp_path))

    assert host.process.wait(timeout=10) == 2
    assert "apps/sample cannot be loaded. ImportError: told not to start" in host.log


def test_a_setting_that_is_missing_ends_the_start_with_its_name(start_host: StartHost, tmp_path: Path) -> None:
    app = tmp_path / "apps" / "bare"
    app.mkdir(parents=True)
    (app / "function_app.py").write_text((CHECKOUT / "tests/local/functions/apps/sample/function_app.py").read_text())
    host = start_host("--apps", str(tmp_path / "apps"))

    assert host.process.wait(timeout=10) == 2
    assert "work names %WORK_TOPIC%, which is not set" in host.log
