"""The bridge under the flags and variables that others set: the Dapr CLI around `bridge up`, and the injector of Kubernetes (1.18)."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.acceptance.test_dapr import catalogue, parts_become, submit, until
from tests.dapr.sidecar import Program, daprd, free_ports, program

LOCAL = ROOT / "components/local"


@pytest.fixture
async def bridge(tmp_path: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    """Not started yet."""
    config = scripted_config(app.url).replace(str(HERE / "servicebus.json"), str(ROOT / "components/servicebus.json"))
    config = config.replace("reply_topics: [automation-replies, my-replies]\n", "")
    config = config.replace(str(HERE / "automations.yaml"), str(catalogue(tmp_path)))
    made = BridgeProcess(tmp_path / "data", config, ("--runtime", "dapr"), {"SCRIPTED_KEY": KEY})
    yield made
    if made.process is not None and made.process.returncode is None:
        await made.stop()


def flags(**given: object) -> list[str]:
    """As the CLI and the injector write them."""
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


async def test_what_dapr_run_sets_is_enough(bridge: BridgeProcess, tmp_path: Path) -> None:
    app_port, http_port, grpc_port, internal, metrics = free_ports(5)
    common = {"app_port": app_port, "dapr_http_port": http_port, "dapr_grpc_port": grpc_port, "metrics_port": metrics}
    arguments = flags(
        **common,
        config=LOCAL / "configuration.yaml",
        app_protocol="grpc",
        dapr_listen_addresses="127.0.0.1",
        log_level="info",
        app_max_concurrency=-1,
        resources_path=LOCAL,
        max_body_size="16Mi",
        read_buffer_size="4Ki",
        app_id="automation-bridge",
        profile_port=-1,
        dapr_internal_grpc_port=internal,
    )
    shared = {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}
    bridge.environment |= shared | {
        "APP_ID": "automation-bridge",
        "APP_CHANNEL_ADDRESS": "127.0.0.1",
        "APP_PORT": str(app_port),
        "APP_PROTOCOL": "grpc",
        "DAPR_HTTP_PORT": str(http_port),
        "DAPR_GRPC_PORT": str(grpc_port),
        "DAPR_METRICS_PORT": str(metrics),
    }
    async with program(daprd(), *arguments, log=tmp_path / "daprd.log", environ=shared):
        await runs_a_request(bridge)


@asynccontextmanager
async def injected(bridge: BridgeProcess, folder: Path, **more: object) -> AsyncIterator[Program]:
    """A sidecar as the injector starts it, with health checks of its app, and a bridge with the variables of its container."""
    app_port, http_port, grpc_port, internal, metrics = free_ports(5)
    arguments = flags(
        dapr_http_port=http_port,
        dapr_grpc_port=grpc_port,
        dapr_internal_grpc_port=internal,
        dapr_listen_addresses="[::1],127.0.0.1",
        app_id="automation-bridge",
        app_protocol="grpc",
        log_level="info",
        dapr_graceful_shutdown_seconds=5,
        app_port=app_port,
        metrics_port=metrics,
        config=LOCAL / "configuration.yaml",
        app_health_check_path="/healthz/live",
        app_health_probe_interval=1,
        app_health_probe_timeout=500,
        app_health_threshold=3,
        resources_path=LOCAL,
        **more,
    )
    secrets = {"APP_API_TOKEN": "of-the-app", "DAPR_API_TOKEN": "of-the-sidecar"}
    sidecars = {**secrets, "BRIDGE_STATE_FILE": str(folder / "state.db")}
    bridge.environment |= secrets | {"DAPR_HTTP_PORT": str(http_port), "DAPR_GRPC_PORT": str(grpc_port), "APP_PROTOCOL": "grpc"}
    bridge.environment |= {"BRIDGE_DELIVERIES_PORT": str(app_port)}  # 8081 without it, which may be taken here
    async with program(daprd(), "--enable-app-health-check", *arguments, log=folder / "daprd.log", environ=sidecars) as beside:
        yield beside


async def test_what_the_injector_sets_is_enough_with_health_checks_of_the_app(bridge: BridgeProcess, tmp_path: Path) -> None:
    async with injected(bridge, tmp_path) as beside:
        await runs_a_request(bridge)
        assert health(beside) == ["healthy"]


async def test_a_bridge_that_was_cut_off_because_it_hung_is_brought_events_again(bridge: BridgeProcess, tmp_path: Path) -> None:
    async with injected(bridge, tmp_path) as beside:
        await bridge.start()
        assert bridge.process is not None
        await until(lambda: health(beside) == ["healthy"])
        bridge.process.send_signal(signal.SIGSTOP)
        await until(lambda: health(beside) == ["healthy", "un-healthy"])
        bridge.process.send_signal(signal.SIGCONT)
        await until(lambda: health(beside) == ["healthy", "un-healthy", "healthy"])
        async with aiohttp.ClientSession(bridge.url) as http, asyncio.timeout(30):
            numbers = itertools.count()
            while (await submit(http, f"r-{next(numbers)}", wait="1")).get("status") != "Succeeded":
                await asyncio.sleep(0.1)


async def test_what_is_in_hand_ends_where_the_sidecar_waits_for_a_bridge_that_is_told_to_end_with_it(
    bridge: BridgeProcess, app: Scripted, tmp_path: Path
) -> None:
    async with injected(bridge, tmp_path, dapr_block_shutdown_duration="15s") as beside:
        await bridge.start()
        assert bridge.process is not None
        async with aiohttp.ClientSession(bridge.url) as http:
            assert (await submit(http, "r-1", wait="0", automation="slow"))["status"] in ("Pending", "Running")
        await until(lambda: app.count("r-1"))
        beside.process.send_signal(signal.SIGTERM)
        bridge.process.send_signal(signal.SIGTERM)
        await until(lambda: "Blocking graceful shutdown" in beside.log.read_text())
        app.release.set()
        assert await asyncio.wait_for(bridge.process.wait(), 30) == 0
        assert await asyncio.wait_for(beside.process.wait(), 30) == 0
    assert "the run ended (run.ended) automation=slow status=Succeeded" in bridge.log()


async def runs_a_request(bridge: BridgeProcess) -> None:
    await bridge.start()
    async with aiohttp.ClientSession(bridge.url) as http:
        assert (await submit(http, "r-1"))["status"] == "Succeeded"
        await parts_become(http, lambda parts: set(parts.values()) == {"ok"})
    assert await bridge.stop() == 0


def health(beside: Program) -> list[str]:
    """What the sidecar held the bridge for, one after the other."""
    return re.findall(r"App entered (\S+) status", beside.log.read_text())
