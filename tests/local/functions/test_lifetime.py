"""Starting and stopping, seen on real processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from .conftest import APPS, CHECKOUT, Host, StartHost, wait_until


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


def test_a_folder_or_a_log_that_cannot_be_written_ends_the_start_with_the_reason(start_host: StartHost, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for option, value in (("--data-dir", tmp_path / "file"), ("--log", tmp_path), ("--log", tmp_path / "file" / "log")):
        host = start_host(option, str(value))

        assert host.process.wait(timeout=10) == 2
        assert f"Cannot start: {value}" in host.log
        assert "Traceback" not in host.log


@pytest.mark.parametrize(
    "content", ["[]", "{}", '"x"', "{", '{"connectionString": 5}', '{"connectionString": "Endpoint=sb://x:99999;SharedAccessKey=k"}']
)
def test_a_file_of_the_queue_that_cannot_be_used_is_told_and_waited_for(start_host: StartHost, data_dir: Path, content: str) -> None:
    (data_dir / "servicebus.json").write_text(content)
    host = start_host()
    host.wait_for_log("cannot be used (")

    assert host.stop() == 0
    assert "Traceback" not in host.log


def test_a_setting_that_is_missing_disables_its_function_alone_with_its_name(start_host: StartHost, tmp_path: Path) -> None:
    app = tmp_path / "apps" / "bare"
    app.mkdir(parents=True)
    (app / "function_app.py").write_text((CHECKOUT / "tests/local/functions/apps/sample/function_app.py").read_text())
    host = start_host("--apps", str(tmp_path / "apps"))

    host.wait_for_log("bare-functions is ready")
    assert "work names %WORK_TOPIC%, which is not set" in host.log
    assert "'api/ping' [GET] to 'ping'" in host.log


def test_an_app_that_cannot_run_leaves_its_neighbours_alone(start_host: StartHost, tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    for name, text in (("broken", "import nothing_of_this_name\n"), ("sound", (APPS / "sample" / "function_app.py").read_text())):
        (apps / name).mkdir(parents=True)
        (apps / name / "function_app.py").write_text(text)
    host = start_host("--apps", str(apps))

    host.wait_for_log("sound-functions is ready")
    host.wait_for_log("broken-functions does not run")
    assert "nothing_of_this_name" in host.log


def test_a_worker_that_is_killed_while_it_loads_its_app_is_started_once_more(start_host: StartHost, tmp_path: Path) -> None:
    mark, sample = tmp_path / "mark", (APPS / "sample" / "function_app.py").read_text()
    killed = f"import os, pathlib\nif not (mark := pathlib.Path({str(mark)!r})).exists():\n    mark.touch()\n    os.kill(os.getpid(), 9)\n"
    (tmp_path / "apps" / "sample").mkdir(parents=True)
    (tmp_path / "apps" / "sample" / "function_app.py").write_text(killed + sample)
    host = start_host("--apps", str(tmp_path / "apps"))

    host.wait_for_log("sample-functions is ready")
    assert host.log.count("It is tried once more.") == 1


def test_an_app_that_loads_for_long_delays_no_other(start_host: StartHost, tmp_path: Path) -> None:
    sample = (APPS / "sample" / "function_app.py").read_text()
    for name, text in (("broken", "import nothing_of_this_name\n"), ("long", "import time\ntime.sleep(600)\n"), ("sound", sample)):
        (tmp_path / "apps" / name).mkdir(parents=True)
        (tmp_path / "apps" / name / "function_app.py").write_text(text)
    host = start_host("--apps", str(tmp_path / "apps"), WORK_TOPIC="work")

    host.wait_for_log("Waiting for the namespace that servicebus.json leads to")
    wait_until(lambda: {"broken-functions", "sound-functions"} == json.loads((host.data_dir / "functions.json").read_text()).keys(), "both")
    assert list(json.loads((host.data_dir / "functions-starting.json").read_text())) == ["long-functions"]


async def test_functions_described_by_files_run_in_python(start_host: StartHost, tmp_path: Path) -> None:
    app = tmp_path / "apps" / "old"
    scripts = {
        "Hello": "from ..shared.words import word\n\ndef main(req) -> str:\n    return word()\n",
        "Out": "from azure.functions import HttpResponse\n\ndef main(req, res):\n    res.set(HttpResponse('out', status_code=202))\n",
        "Broken": "import nothing_of_this_name\n",
    }
    for name, script in scripts.items():
        (app / name).mkdir(parents=True)
        (app / name / "__init__.py").write_text(script)
        output = "res" if name == "Out" else "$return"
        bindings = [{"type": "httpTrigger", "name": "req", "authLevel": "anonymous"}, {"type": "http", "direction": "out", "name": output}]
        (app / name / "function.json").write_text(json.dumps({"bindings": bindings}))
    (app / "shared").mkdir()
    (app / "shared" / "words.py").write_text("def word():\n    return 'hello'\n")
    host = start_host("--apps", str(tmp_path / "apps"))
    host.wait_for_log("old-functions is ready")
    entry = json.loads((host.data_dir / "functions.json").read_text())["old-functions"]

    async with aiohttp.ClientSession() as http:
        for name, wanted in (("Hello", (200, "hello")), ("Out", (202, "out")), ("Broken", (500, ""))):
            async with http.get(f"{entry['url']}/api/{name}") as answer:
                assert (answer.status, await answer.text()) == wanted
    assert "Broken cannot be loaded" in host.log
