"""Metrics as a collector gets them from a bridge in a process of its own, beside those that it serves for Prometheus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.local.freeports import free_ports
from bridge.metrics.meters import BOUNDS
from tests.acceptance.bridge_process import HERE, BridgeProcess, scripted_config
from tests.acceptance.otlp_receiver import ReceivedPoint, Receiver, receiving
from tests.acceptance.results import result_of
from tests.acceptance.runtimes import Runtime
from tests.acceptance.scripted import KEY, Scripted
from tests.acceptance.test_trace import CATALOGUE, FAN_OUT, PASSWORD
from tests.dapr import authority

SUBMIT = "/v1/automations/{name}/requests"
COLLECTOR_KEY = "marked-collector-key"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def measured(runtime: Runtime, app: Scripted, receiver: Receiver, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """A bridge that sends metrics to the collector, five times a second, and no spans."""
    catalogue = tmp_path / "automations.yaml"
    catalogue.write_text(CATALOGUE)
    config = scripted_config(app.url).replace(str(HERE / "automations.yaml"), str(catalogue))
    headers = {"OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"x-api-key={COLLECTOR_KEY}"}
    environment = {"SCRIPTED_KEY": KEY, **receiver.environment, **headers, "OTEL_TRACES_EXPORTER": "none"}
    async with runtime.bridge(tmp_path, config, environment) as process:
        yield process


def value(points: list[ReceivedPoint], metric: str, **attributes: object) -> float:
    """What the series of the metric with these attributes, among others, count together; `__` stands for a dot in a name."""
    wanted = {name.replace("__", "."): each for name, each in attributes.items()}
    return sum(each.value for each in points if each.metric == metric and wanted.items() <= each.attributes.items())


async def fan_out(runtime: Runtime, bridge: BridgeProcess, correlation_id: str = "order-1") -> dict[str, Any]:
    """One run that calls a function and tells another by a topic, whose result is sent; the work as that one got it."""
    asked = {"text": "hello", "password": PASSWORD}
    async with aiohttp.ClientSession(bridge.url) as http:
        path = SUBMIT.replace("{name}", FAN_OUT)
        async with http.post(path, json=asked, headers={"x-correlation-id": correlation_id}) as answer:
            assert answer.status == 202
        async with runtime.bus(bridge) as bus:
            work, _ = await bus.receive("work/worker")
            await bus.send("automation-results", json.dumps(result_of(work)).encode())
        async with http.get(f"/v1/requests/{correlation_id}", params={"wait": "20"}) as answer:
            assert (await answer.json())["status"] == "Succeeded"
    found: dict[str, Any] = work
    return found


async def test_a_run_is_counted_by_the_conventions_of_http_and_messaging(
    runtime: Runtime, measured: BridgeProcess, receiver: Receiver
) -> None:
    await fan_out(runtime, measured)
    async with aiohttp.ClientSession(measured.url) as http:
        for path in ("/v1/requests/no-such-one", "/nobody/serves/this"):
            async with http.get(path) as answer:
                assert answer.status == 404
        async with http.request("PROPFIND", "/v1/requests") as answer:
            assert answer.status == 405
    results = {"messaging__destination__name": "automation-results", "messaging__destination__subscription__name": "bridge"}
    # The caller has the answer while the delivery that ended the run is still being handled.
    points = await receiver.until_measured(
        lambda found: (
            value(found, "http.server.request.duration", http__request__method="_OTHER") == 1
            and value(found, "messaging.process.duration", **results) == 1
        )
    )
    named = [
        (each.attributes.get("http.route"), each.attributes["http.response.status_code"])
        for each in of(points, "http.server.request.duration")
    ]
    assert sorted(named, key=str) == sorted(
        [(SUBMIT, 202), ("/v1/requests/{correlationId}", 200), ("/v1/requests/{correlationId}", 404), (None, 404), ("/v1/requests", 405)],
        key=str,
    )
    (called,) = of(points, "http.client.request.duration")
    expected = {"http.request.method": "POST", "http.response.status_code": 200, "bridge.app": "scripted", "url.template": "/api/echo"}
    assert (called.attributes, called.value, called.unit) == (expected, 1, "s")
    assert (called.bounds, sum(called.buckets)) == (BOUNDS, 1)
    assert called.sum > 0
    sent = {"messaging__operation__name": "send", "messaging__system": "embedded" if is_embedded(measured) else "dapr"}
    for topic in ("work", "automation-replies"):
        assert value(points, "messaging.client.sent.messages", messaging__destination__name=topic, **sent) == 1
        assert value(points, "messaging.client.operation.duration", messaging__destination__name=topic, **sent) == 1
    assert value(points, "messaging.client.consumed.messages", **results) == 1
    assert value(points, "messaging.process.duration", **results, messaging__operation__name="process") == 1
    assert not [each for each in points if each.metric.startswith("messaging.") and "error.type" in each.attributes]


def of(points: list[ReceivedPoint], metric: str) -> list[ReceivedPoint]:
    return [each for each in points if each.metric == metric]


def is_embedded(bridge: BridgeProcess) -> bool:
    return bridge.data_dir.joinpath("bridge.db").exists()


async def test_the_collector_gets_the_same_numbers_as_prometheus_and_nothing_secret(
    runtime: Runtime, measured: BridgeProcess, receiver: Receiver, app: Scripted
) -> None:
    work, secrets = await fan_out(runtime, measured), runtime.secrets(measured)
    await receiver.until_measured(lambda found: value(found, "bridge.steps", bridge__step="run.replied") == 1)
    async with aiohttp.ClientSession(measured.url) as http, http.get("/metrics") as answer:
        families = {each.name: each for each in text_string_to_metric_families(await answer.text())}
    await measured.stop()
    points = receiver.exports[-1]
    steps = {each.labels["step"]: each.value for each in families["bridge_steps"].samples if each.name.endswith("_total")}
    assert {name: value(points, "bridge.steps", bridge__step=name) for name in steps} == steps
    assert value(points, "bridge.runs.ended", bridge__automation=FAN_OUT, bridge__status="Succeeded") == 1
    (lasted,) = of(points, "bridge.run.duration")
    assert (lasted.value, lasted.unit, lasted.delta) == (1, "s", False)
    seconds = [each.value for each in families["bridge_run_seconds"].samples if each.name.endswith("_sum")]
    assert [lasted.sum] == seconds
    assert value(points, "bridge.calls.active", bridge__app="scripted") == 0
    assert {each.resource["service.name"] for each in points} == {"automation-bridge"}
    assert len({each.resource["service.instance.id"] for each in points}) == 1
    sent = "".join(receiver.raw)
    address = app.url.removeprefix("http://")
    for secret in (PASSWORD, KEY, COLLECTOR_KEY, "order-1", work["invocationtoken"], address, *secrets):
        assert secret not in sent
    assert {each["x-api-key"] for each in receiver.headers} == {COLLECTOR_KEY}


async def test_what_came_since_the_last_export_is_sent_once_if_deltas_are_asked_for(
    app: Scripted, receiver: Receiver, tmp_path: Path
) -> None:
    asked = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta", "SCRIPTED_KEY": KEY, **receiver.environment}
    async with BridgeProcess(tmp_path / "data", scripted_config(app.url), environment=asked) as bridge:
        await echoed(bridge, 3)
        await receiver.until_measured(lambda _: total(receiver, "bridge.runs.ended") >= 3)
        await echoed(bridge, 2)
        await receiver.until_measured(lambda _: total(receiver, "bridge.runs.ended") >= 5)
    assert total(receiver, "bridge.runs.ended") == 5
    assert total(receiver, "http.client.request.duration") == 5
    assert all(each.delta for points in receiver.exports for each in of(points, "bridge.run.duration"))


def total(receiver: Receiver, metric: str) -> float:
    return sum(value(points, metric) for points in receiver.exports)


async def echoed(bridge: BridgeProcess, times: int) -> None:
    async with aiohttp.ClientSession(bridge.url) as http:
        for number in range(times):
            async with http.post("/v1/automations/echo/requests", json={"number": number}, headers={"prefer": "wait=20"}) as answer:
                assert (await answer.json())["status"] == "Succeeded"


async def test_the_end_of_a_certificate_is_sent_although_nobody_reads_the_metrics(
    app: Scripted, receiver: Receiver, tmp_path: Path
) -> None:
    authority.write(tmp_path / "made", root=timedelta(days=20), issuer=timedelta(days=5))
    config = scripted_config(app.url, f"certificates: [{tmp_path / 'made' / 'ca.crt'}]")
    async with BridgeProcess(tmp_path / "data", config, environment={"SCRIPTED_KEY": KEY, **receiver.environment}):
        points = await receiver.until_measured(lambda found: bool(of(found, "bridge.certificate.expiry")))
    (expiry,) = of(points, "bridge.certificate.expiry")
    assert (expiry.attributes["bridge.certificate.name"], expiry.unit) == ("CN=root", "s")
    assert datetime.fromtimestamp(expiry.value, UTC) > datetime.now(UTC) + timedelta(days=19)


async def test_what_was_counted_last_is_sent_when_the_bridge_stops(app: Scripted, receiver: Receiver, tmp_path: Path) -> None:
    rarely = {**receiver.environment, "OTEL_METRIC_EXPORT_INTERVAL": "600000", "SCRIPTED_KEY": KEY}
    async with BridgeProcess(tmp_path / "data", scripted_config(app.url), environment=rarely) as bridge:
        await echoed(bridge, 2)
        assert receiver.exports == []
        assert await bridge.stop() == 0
    (points,) = receiver.exports
    assert value(points, "bridge.runs.ended") == 2


async def test_a_bridge_whose_collector_is_away_works_as_ever_and_says_so_once(runtime: Runtime, app: Scripted, tmp_path: Path) -> None:
    nobody = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{free_ports(1)[0]}/v1/metrics?api_key={COLLECTOR_KEY}"}
    often = {"SCRIPTED_KEY": KEY, "OTEL_METRIC_EXPORT_INTERVAL": "100", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "0.2"}
    async with runtime.bridge(tmp_path, scripted_config(app.url), {**nobody, **often}) as bridge:
        await echoed(bridge, 30)
        assert await bridge.stop() == 0
        told = [line for line in bridge.log().splitlines() if "Failed to export metrics" in line]
        assert len(told) == 1, told
        assert COLLECTOR_KEY not in bridge.log()


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """The address of a collector that takes everything and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_collector_that_never_answers_keeps_neither_requests_nor_the_end(runtime: Runtime, app: Scripted, tmp_path: Path) -> None:
    """The end is waited for as long as a bridge may take, which is less than an export may."""
    async with silence() as address:
        patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "300", "OTEL_METRIC_EXPORT_TIMEOUT": "300000", "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        asked = {"SCRIPTED_KEY": KEY, "OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50", **patient}
        async with runtime.bridge(tmp_path, scripted_config(app.url), asked) as bridge:
            await echoed(bridge, 10)
            assert await bridge.stop() == 0
