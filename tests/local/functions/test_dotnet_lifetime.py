"""C# apps live and die as apps in other languages do: what ends a worker ends its calls, and neighbours and later calls go on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.local.functions.rpc import dotnetapp

from . import dotnet_kit, dotnet_rpc_kit
from .conftest import PYTHON, Host, Hosts, need, wait_until
from .powershell_kit import write_files

Http = aiohttp.ClientSession


@pytest.fixture
def host(tmp_path: Path, data_dir: Path) -> Iterator[Host]:
    """A host with a plain app, an ASP.NET Core app, and the source of one that was not published."""
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    hosts = Hosts()
    for name in ("plain", "aspnet"):
        dotnet_kit.copy_app(name, tmp_path / "apps" / name)
    (tmp_path / "apps" / "source").mkdir()
    (tmp_path / "apps" / "source" / "Shop.csproj").write_text("<Project/>")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    environment = {dotnetapp.VARIABLE: str(dotnet_kit.runner()), "TICK_SCHEDULE": "0 0 0 1 1 *"}
    started = hosts.start(data_dir, tmp_path / "apps", tmp_path / "host.json", **environment)
    wait_until(lambda: len(entries(started)) == 3, "all apps", 60)
    yield started
    hosts.kill()


def entries(host: Host) -> Any:
    return json.loads((host.data_dir / "functions.json").read_text())


def url(host: Host, app: str, path: str) -> str:
    return f"{entries(host)[f'{app}-functions']['url']}/api/{path}"


def workers(host: Host) -> list[int]:
    """The processes that the host has started and that run."""
    children = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text()
    return [int(each) for each in children.split()]


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


async def _status(http: Http, address: str) -> int:
    async with http.get(address) as answer:
        return answer.status


@pytest.mark.parametrize("how", ["exit0", "failfast", "stack"])
async def test_an_end_of_the_worker_fails_its_calls_and_nothing_else(host: Host, http: Http, how: str) -> None:
    beside = asyncio.create_task(_status(http, url(host, "aspnet", "Slow?ms=1500")))
    assert await _status(http, url(host, "plain", f"throw/{how}")) == 500
    assert await _status(http, url(host, "plain", "Hello")) in (200, 503)
    host.wait_for_log("plain-functions: a worker is running again")
    assert await _status(http, url(host, "plain", "Hello")) == 200
    assert await beside == 200


async def test_a_source_folder_is_named_with_the_command_that_publishes_it(host: Host, http: Http) -> None:
    headers = {"x-functions-key": entries(host)["source-functions"]["masterKey"]}
    async with http.get(f"{entries(host)['source-functions']['url']}/admin/host/status", headers=headers) as answer:
        (reason,) = (await answer.json())["errors"]
    assert "was not published. Run `dotnet publish" in reason
    assert await _status(http, url(host, "source", "Hello")) == 503


async def test_an_id_of_an_invocation_from_outside_counts_for_nothing(host: Host, http: Http) -> None:
    sent = {"x-ms-invocation-id": "mine", "X-Forwarded-Host": "evil.example"}
    async with http.get(url(host, "aspnet", "request/r"), headers=sent) as answer:
        seen = await answer.json()
    headers = {each["key"].lower(): each["value"] for each in seen["headers"]}
    assert headers["x-ms-invocation-id"] != ["mine"]
    assert seen["host"].startswith("127.0.0.1:")


async def test_bodies_are_passed_on_while_they_come(host: Host, http: Http) -> None:
    async with http.get(url(host, "aspnet", "Chunks?n=2&ms=1500")) as answer:
        assert await answer.content.readuntil(b"\n\n") == b"data: 0\n\n"
        assert "Chunks took" not in host.log  # the function still runs
        assert await answer.content.read() == b"data: 1\n\n"
    host.wait_for_log("Chunks took")

    async def slowly() -> Any:
        for _ in range(3):
            yield b"x" * 100_000
            await asyncio.sleep(0.1)

    async with http.post(url(host, "aspnet", "Large?n=1"), data=slowly()) as answer:
        assert (await answer.text()).endswith("300000")


def test_a_host_that_stops_while_its_apps_start_ends_their_workers_and_says_nothing_of_itself(
    tmp_path: Path, data_dir: Path, hosts: Hosts
) -> None:
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    dotnet_kit.copy_app("plain", tmp_path / "apps" / "plain")
    sources = {"quick": "import azure.functions\napp = azure.functions.FunctionApp()\n", "slow": "import time\ntime.sleep(60)\n"}
    for name, source in sources.items():
        write_files(tmp_path / "apps" / name, {"function_app.py": source})
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    environment = {dotnetapp.VARIABLE: str(dotnet_kit.runner()), "TEST_STARTUP": "hang", "TICK_SCHEDULE": "0 0 0 1 1 *"}
    host = hosts.start(data_dir, tmp_path / "apps", tmp_path / "host.json", "--python", str(PYTHON), **environment)
    wait_until(lambda: len(workers(host)) == 3, "three workers")
    started = workers(host)
    assert host.stop() == 0
    wait_until(lambda: not any(map(alive, started)), "the end of the workers")
    assert not re.findall("Traceback|never retrieved|Exception ignored", host.log)


async def test_a_host_that_stops_lets_calls_end_and_leaves_no_process(host: Host, http: Http) -> None:
    await _status(http, url(host, "plain", "Slow?ms=1"))
    started = workers(host)
    running = asyncio.create_task(_status(http, url(host, "plain", "Slow?ms=2000")))
    await asyncio.sleep(0.5)
    host.process.send_signal(signal.SIGTERM)
    assert await running == 200
    assert await asyncio.to_thread(host.process.wait, 20) == 0
    assert started
    assert not any(map(alive, started))


async def test_workers_end_with_a_host_that_is_killed(host: Host) -> None:
    started = workers(host)
    assert len(started) == 2
    os.kill(host.process.pid, signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: not any(map(alive, started)), "the end of the workers")


async def test_a_deadline_fires_the_token_of_the_function(tmp_path: Path) -> None:
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    async with dotnet_rpc_kit.alone("servicebus", tmp_path) as app:
        response = await asyncio.wait_for(app.worker.invoke(app.order("Slow", {"message": {"string": "60000"}}, seconds=0.5)), 20)
        assert (response.ok, response.code) == (False, "System.Threading.Tasks.TaskCanceledException")
        late = await app.worker.invoke(app.order("Slow", {"message": {"string": "1"}}, seconds=-1))
        assert late.late
