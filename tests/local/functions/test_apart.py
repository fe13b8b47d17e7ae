"""Apps are apart: each has its packages, its worker, its own end; and a host that stops does so in time."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import aiohttp
import pytest

from .conftest import PYTHON, Host, Hosts, StartHost, need

APP = """
import asyncio, os, subprocess, sys, time
import azure.functions as func

try:
    import marker
except ImportError:
    marker = None

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route("packages")
def packages(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"{marker.NAME} {os.getpid()}")

@app.route("die")
def die(req: func.HttpRequest) -> func.HttpResponse:
    sys.stderr.write("these are the last words")
    sys.stderr.flush()
    os._exit(3)

@app.route("crash")
def crash(req: func.HttpRequest) -> func.HttpResponse:
    os.abort()

@app.route("write")
def write(req: func.HttpRequest) -> func.HttpResponse:
    sys.stdout.buffer.write(b"bytes of a buffer\\n")
    sys.stdout.reconfigure(errors="replace")
    print("text in", sys.stdout.encoding, sys.stdout.isatty(), "half \\ud800")
    subprocess.run(["echo", "of a child"], check=True)
    return func.HttpResponse("written")

@app.route("close")
def close(req: func.HttpRequest) -> func.HttpResponse:
    sys.stdout.close()
    sys.stdout.buffer.close()
    print("still open")
    return func.HttpResponse("closed")

@app.route("cancel")
async def cancel(req: func.HttpRequest) -> func.HttpResponse:
    asyncio.current_task().cancel()
    await asyncio.sleep(60)

@app.route("hang")
def hang(req: func.HttpRequest) -> func.HttpResponse:
    print("hangs", flush=True)
    time.sleep(60)
"""


def write_app(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "function_app.py").write_text(APP)
    return folder


@pytest.fixture
def host(start_host: StartHost, tmp_path: Path) -> Host:
    write_app(tmp_path / "apps" / "own")
    return start_host("--apps", str(tmp_path / "apps"))


async def asked(http: aiohttp.ClientSession, host: Host, name: str, app: str = "own-functions") -> tuple[int, str]:
    entry = json.loads((host.data_dir / "functions.json").read_text())[app]
    async with http.get(f"{entry['url']}/api/{name}") as answer:
        return answer.status, await answer.text()


async def test_the_last_words_of_a_worker_are_in_the_log(host: Host, http: aiohttp.ClientSession) -> None:
    assert (await asked(http, host, "die"))[0] == 500
    host.wait_for_log("| these are the last words")
    host.wait_for_log("a worker is running again")

    assert (await asked(http, host, "crash"))[0] == 500
    host.wait_for_log("ERROR   bridge.functions: own-functions: | Fatal Python error: Aborted")


async def test_standard_output_is_a_text_stream(host: Host, http: aiohttp.ClientSession) -> None:
    assert await asked(http, host, "write") == (200, "written")
    for line in ("write | bytes of a buffer", "write | text in utf-8 False half ?", "| of a child"):
        host.wait_for_log(line)

    assert await asked(http, host, "close") == (200, "closed")
    host.wait_for_log("close | still open")


async def test_an_async_function_that_is_canceled_is_answered_and_its_worker_goes_on(host: Host, http: aiohttp.ClientSession) -> None:
    assert (await asked(http, host, "cancel"))[0] == 500
    assert (await asked(http, host, "write"))[0] == 200
    assert "the worker ended" not in host.log


async def test_a_host_whose_functions_hang_ends_all_the_same(start_host: StartHost, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    for name in ("one", "two", "three"):
        write_app(tmp_path / "apps" / name)
    host = start_host("--apps", str(tmp_path / "apps"))
    for name in ("one", "two", "three"):
        host.wait_for_log(f"{name}-functions is ready")
    calls = [asyncio.create_task(asked(http, host, "hang", f"{name}-functions")) for name in ("one", "two", "three")]
    while host.log.count("hang | hangs") < 3:
        await asyncio.sleep(0.05)

    host.process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(host.process.wait, timeout=12) == 0  # 10 s of its own, and what a busy machine adds
    await asyncio.gather(*calls, return_exceptions=True)


def make_environment(folder: Path) -> None:
    """A virtual environment with a marker, and with the packages of the shared one."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder], check=True)
    packages, shared = (next((each / "lib").glob("python3*/site-packages")) for each in (folder, PYTHON.parents[1]))
    (packages / "marker.py").write_text("NAME = 'own'\n")
    (packages / "shared.pth").write_text(f"{shared}\n")


async def test_each_app_has_packages_and_an_environment_of_its_own(hosts: Hosts, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    packaged, own = write_app(tmp_path / "apps" / "packaged"), write_app(tmp_path / "apps" / "own")
    (packaged / ".python_packages/lib/site-packages").mkdir(parents=True)
    (packaged / ".python_packages/lib/site-packages/marker.py").write_text("NAME = 'packaged'\n")
    make_environment(own / ".venv")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')

    host = hosts.start(tmp_path, tmp_path / "apps", tmp_path / "host.json", BRIDGE_FUNCTIONS_PYTHON="")
    answers = []
    for name in ("packaged", "own"):
        host.wait_for_log(f"{name}-functions is ready")
        answers.append((await asked(http, host, "packages", f"{name}-functions"))[1].split())

    assert [name for name, _ in answers] == ["packaged", "own"]
    assert len({process for _, process in answers}) == 2
