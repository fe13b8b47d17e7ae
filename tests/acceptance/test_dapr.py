"""The bridge with a sidecar that it has started itself, on the components for a laptop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr.sidecar import daprd, free_ports, sidecar

EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/orders",
    "type": "automation.requested",
    "subject": "echo",
    "data": {"number": 2**53},
}


@pytest.fixture
async def bridge(tmp_path: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    """Not started yet."""
    config = scripted_config(app.url, "sweep_every: 1s").replace(str(HERE / "servicebus.json"), str(ROOT / "components/servicebus.json"))
    config = config.replace("reply_topics: [automation-replies, my-replies]\n", "")
    config = config.replace(str(HERE / "automations.yaml"), str(catalogue(tmp_path)))
    environment = {"SCRIPTED_KEY": KEY, "BRIDGE_DAPRD": str(daprd())}
    made = BridgeProcess(tmp_path / "data", config, ("--runtime", "dapr", "--with-sidecar"), environment)
    yield made
    if made.process is not None and made.process.returncode is None:
        await made.stop()


def catalogue(folder: Path) -> Path:
    """The automations whose topics the components for a laptop know."""
    documents = (HERE / "automations.yaml").read_text().split("\n---\n")
    path = folder / "automations.yaml"
    path.write_text("\n---\n".join(each for each in documents if "topic:" not in each))
    return path


def beside(bridge: BridgeProcess) -> set[int]:
    """The processes that the sidecar of the bridge is made of: itself, and what keeps it."""
    return {int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _names(path, bridge.data_dir / "daprd.log", "daprd")}


def _names(path: Path, log: Path, program: str) -> bool:
    try:
        words = path.read_bytes().decode(errors="replace").split("\0")
        mine = f"BRIDGE_STATE_FILE={log.parent / 'dapr.db'}" in path.with_name("environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return mine and any(program in word for word in words)


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.02)


async def ready(http: aiohttp.ClientSession) -> dict[str, str]:
    async with http.get("/healthz/ready") as answer:
        parts: dict[str, str] = (await answer.json())["parts"]
        return parts


async def parts_become(http: aiohttp.ClientSession, judge: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    async with asyncio.timeout(30):
        while not judge(parts := await ready(http)):
            await asyncio.sleep(0.05)
        return parts


async def submit(
    http: aiohttp.ClientSession, correlation_id: str, data: object = None, wait: str = "20", automation: str = "echo"
) -> dict[str, Any]:
    headers = {"X-Correlation-Id": correlation_id, "Prefer": f"wait={wait}"}
    async with http.post(f"/v1/automations/{automation}/requests", json=data or {}, headers=headers) as answer:
        run: dict[str, Any] = await answer.json()
        return run


async def letters(http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """The dead letters, once there is one."""
    async with asyncio.timeout(30):
        while True:
            async with http.get("/v1/deadletters") as answer:
                items: list[dict[str, Any]] = (await answer.json())["items"]
            if items:
                return items
            await asyncio.sleep(0.1)


async def found(http: aiohttp.ClientSession, correlation_id: str) -> dict[str, Any]:
    """The run once it has ended."""
    async with asyncio.timeout(30):
        while True:
            async with http.get(f"/v1/requests/{correlation_id}", params={"wait": 20}) as answer:
                if answer.status == 200:
                    run: dict[str, Any] = await answer.json()
                    return run
            await asyncio.sleep(0.1)


def of_the_operator(bridge: BridgeProcess) -> tuple[int, int]:
    """Let the bridge look for a sidecar that somebody else starts, on the port given first; the second is that for deliveries."""
    http_port, app_port, api = free_ports(3)
    bridge.url = f"http://127.0.0.1:{api}"
    bridge.arguments = ("--runtime", "dapr")
    bridge.environment |= {"DAPR_HTTP_PORT": str(http_port), "APP_PORT": str(app_port)}
    bridge.environment |= {"DAPR_API_TOKEN": "token-of-the-sidecar", "APP_API_TOKEN": "token-of-the-app"}
    return http_port, app_port


async def test_requests_over_http_and_events_of_any_dapr_app_become_runs(bridge: BridgeProcess) -> None:
    await bridge.start()
    door = json.loads((bridge.data_dir / "sidecar.json").read_text())
    async with aiohttp.ClientSession(bridge.url) as http:
        assert (await submit(http, "r-1", data={"number": 2**60}))["output"] == {"number": 2**60}
        headers = {"dapr-api-token": door["token"], "content-type": "application/cloudevents+json"}
        publish = f"{door['url']}/v1.0/publish/bus/automation-requests"
        async with http.post(publish, data=json.dumps(EVENT), headers=headers) as answer:
            assert answer.status == 204
        assert (await found(http, "e-1"))["output"] == {"number": 2**53}
        assert await ready(http) == dict.fromkeys(("sidecar", "store", "bus", "subscriptions"), "ok")


async def test_a_run_is_still_there_after_a_restart_of_both(bridge: BridgeProcess) -> None:
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        await submit(http, "r-1")
    await bridge.stop()
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        assert (await found(http, "r-1"))["status"] == "Succeeded"
        async with http.get("/v1/requests") as answer:
            assert [run["correlationId"] for run in (await answer.json())["items"]] == ["r-1"]


async def test_sigterm_lets_a_call_end_and_leaves_no_sidecar(bridge: BridgeProcess, app: Scripted) -> None:
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        async with http.post("/v1/automations/slow/requests", json={}, headers={"X-Correlation-Id": "r-1"}) as answer:
            assert answer.status == 202
        await until(lambda: app.count("r-1"))
        assert bridge.process is not None
        bridge.process.send_signal(signal.SIGTERM)
        app.release.set()
        assert await asyncio.wait_for(bridge.process.wait(), 30) == 0
    assert beside(bridge) == set()
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        assert (await found(http, "r-1"))["status"] == "Succeeded"
    assert app.count("r-1") == 1


async def test_a_bridge_that_was_killed_leaves_no_sidecar(bridge: BridgeProcess) -> None:
    await bridge.start()
    assert len(beside(bridge)) == 2
    await bridge.kill()
    await until(lambda: not beside(bridge))


async def test_a_sidecar_that_was_killed_comes_back_and_the_bridge_goes_on(bridge: BridgeProcess) -> None:
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        for pid in beside(bridge):
            with contextlib.suppress(ProcessLookupError):  # one ends by itself when the other is gone
                os.kill(pid, signal.SIGKILL)
        # Until it has subscribed again its bus, which is in memory, drops what is published: such a run would wait for its deadline.
        async with asyncio.timeout(30):
            numbers = itertools.count()
            while (await submit(http, f"r-{next(numbers)}", wait="1")).get("status") != "Succeeded":
                await asyncio.sleep(0.1)
        await parts_become(http, lambda parts: set(parts.values()) == {"ok"})


async def test_a_second_bridge_on_the_folder_is_refused_before_it_starts_a_sidecar(bridge: BridgeProcess) -> None:
    await bridge.start()
    second = BridgeProcess(bridge.data_dir, bridge.config, bridge.arguments, bridge.environment)
    with pytest.raises(AssertionError, match="in use by the bridge"):
        await second.start()
    assert len(beside(bridge)) == 2


async def test_a_sidecar_of_the_operator_may_come_after_the_bridge(bridge: BridgeProcess, tmp_path: Path) -> None:
    http_port, app_port = of_the_operator(bridge)
    starting = asyncio.create_task(bridge.start())
    async with aiohttp.ClientSession(bridge.url) as http:
        await until(lambda: "waiting for the sidecar" in _log(bridge))
        async with http.get("/healthz/live") as answer:
            assert answer.status == 200
        assert await ready(http) == {"sidecar": "is waited for"}
        async with http.get("/v1/requests") as answer:
            assert (answer.status, "retry-after" in answer.headers) == (503, True)
        state = {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}
        async with sidecar(tmp_path, ROOT / "components/local", state, app_port, http_port):
            await starting
            assert (await submit(http, "r-1"))["status"] == "Succeeded"
        await parts_become(http, lambda parts: parts["sidecar"] != "ok")
        async with sidecar(tmp_path, ROOT / "components/local", state, app_port, http_port):
            await parts_become(http, lambda parts: set(parts.values()) == {"ok"})
            assert (await submit(http, "r-2"))["status"] == "Succeeded"
            await bridge.stop()


async def test_a_timer_that_the_bus_refuses_when_it_is_due_is_a_dead_letter(bridge: BridgeProcess, tmp_path: Path) -> None:
    resources = shutil.copytree(ROOT / "components/local", tmp_path / "resources")
    may_publish = "automation-bridge=automation-requests,automation-invocations,automation-replies"
    bus = (resources / "bus.yaml").read_text().replace("[]", f"[{{name: publishingScopes, value: '{may_publish}'}}]")
    (resources / "bus.yaml").write_text(bus)
    bridge.arguments = (*bridge.arguments, "--resources", str(resources))
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        async with http.post("/v1/automations/slow/requests", json={}, headers={"X-Correlation-Id": "r-1", "X-Deadline": soon}) as answer:
            assert answer.status == 202
        assert (await found(http, "r-1"))["status"] == "TimedOut"
        (letter,) = await letters(http)
        assert (letter["reason"], letter["topic"], letter["correlationId"]) == ("Undeliverable", "automation-timers", "r-1")


async def test_a_bridge_whose_sidecar_lacks_a_subscription_says_so_and_takes_nothing(bridge: BridgeProcess, tmp_path: Path) -> None:
    lacking = shutil.copytree(ROOT / "components/local", tmp_path / "lacking")
    documents = (lacking / "subscriptions.yaml").read_text().split("\n---\n")
    (lacking / "subscriptions.yaml").write_text("\n---\n".join(each for each in documents if "automation-timers" not in each))
    http_port, app_port = of_the_operator(bridge)
    state = {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}
    told = "no subscription to automation-timers of component bus: add one with the route /deliveries/automation-timers/bridge"
    starting = asyncio.create_task(bridge.start())
    async with aiohttp.ClientSession(bridge.url) as http:
        async with sidecar(tmp_path, lacking, state, app_port, http_port):
            await until(lambda: told in _log(bridge))
            assert told in (await ready(http))["subscriptions"]
            assert (await submit(http, "r-1"))["status"] == 503
        async with sidecar(tmp_path, ROOT / "components/local", state, app_port, http_port):
            await starting
            assert (await submit(http, "r-1"))["status"] == "Succeeded"
        async with sidecar(tmp_path, lacking, state, app_port, http_port):
            assert told in (await parts_become(http, lambda parts: parts.get("subscriptions") not in ("ok", None)))["subscriptions"]
            await bridge.stop()


async def test_a_sidecar_that_brings_events_to_the_port_of_the_api_is_told(bridge: BridgeProcess, tmp_path: Path) -> None:
    http_port, app_port = of_the_operator(bridge)
    starting = asyncio.create_task(bridge.start())
    await until(lambda: "waiting for the sidecar" in _log(bridge))
    api = URL(bridge.url).port
    assert api is not None
    async with (
        aiohttp.ClientSession(bridge.url) as http,
        sidecar(tmp_path, ROOT / "components/local", {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}, api, http_port),
    ):
        parts = await parts_become(http, lambda parts: "subscriptions" in parts)
        assert f"to port {api}, but the bridge expects them on port {app_port}" in parts["subscriptions"]
    assert bridge.process is not None
    bridge.process.send_signal(signal.SIGTERM)
    with pytest.raises(AssertionError):
        await starting


async def test_a_sidecar_that_delivers_over_http_is_told_to_use_grpc_and_one_that_does_is_taken(
    bridge: BridgeProcess, tmp_path: Path
) -> None:
    http_port, app_port = of_the_operator(bridge)
    state = {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}
    starting = asyncio.create_task(bridge.start())
    await until(lambda: "waiting for the sidecar" in _log(bridge))
    async with aiohttp.ClientSession(bridge.url) as http:
        async with sidecar(tmp_path, ROOT / "components/local", state, app_port, http_port, protocol="http"):
            parts = await parts_become(http, lambda parts: "subscriptions" in parts)
            assert "start it with --app-protocol grpc" in parts["subscriptions"]
            assert (await submit(http, "r-1"))["status"] == 503
        async with sidecar(tmp_path, ROOT / "components/local", state, app_port, http_port):
            await starting
            assert (await submit(http, "r-2"))["status"] == "Succeeded"
            await bridge.stop()


async def test_a_bridge_that_waits_for_its_sidecar_can_be_stopped(bridge: BridgeProcess) -> None:
    bridge.arguments = ("--runtime", "dapr")
    bridge.environment |= {"DAPR_HTTP_PORT": str(free_ports(1)[0]), "APP_PORT": str(free_ports(1)[0])}
    starting = asyncio.create_task(bridge.start())
    await until(lambda: "waiting for the sidecar" in _log(bridge))
    assert "APP_API_TOKEN is not set" in _log(bridge)
    assert bridge.process is not None
    bridge.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(bridge.process.wait(), 20) == 0
    with pytest.raises(AssertionError):
        await starting


def _log(bridge: BridgeProcess) -> str:
    path = bridge.data_dir.parent / "bridge.log"
    return path.read_text() if path.exists() else ""
