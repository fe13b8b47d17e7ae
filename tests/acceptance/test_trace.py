"""A whole trace, from the caller over bus and functions to the reply, as a collector gets it from a bridge in a process of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, BridgeProcess, scripted_config
from tests.acceptance.otlp_receiver import ReceivedSpan, Receiver, receiving
from tests.acceptance.results import result_of
from tests.acceptance.runtimes import Runtime
from tests.acceptance.scripted import KEY, Scripted

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PASSWORD = "marked-password"
#: Of the name that the subscription of the tests takes.
FAN_OUT = "topic.work"
CATALOGUE = f"""
apiVersion: bridge/v1
kind: Automation
metadata: {{name: {FAN_OUT}, description: An HTTP function and work for a topic}}
spec:
  input: {{type: object, properties: {{text: {{type: string}}, password: {{type: string, writeOnly: true}}}}}}
  deadline: 30s
  targets:
  - {{name: called, http: {{app: scripted, path: /api/echo}}}}
  - {{name: told, topic: {{name: work}}}}
"""
SUBMIT = "/v1/automations/{name}/requests"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def traced(runtime: Runtime, app: Scripted, receiver: Receiver, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """A bridge that sends its spans to the collector, and logs in JSON."""
    catalogue = tmp_path / "automations.yaml"
    catalogue.write_text(CATALOGUE)
    config = scripted_config(app.url).replace(str(HERE / "automations.yaml"), str(catalogue)) + "log_format: json\n"
    environment = {"SCRIPTED_KEY": KEY, "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=marked-collector-key", **receiver.environment}
    async with runtime.bridge(tmp_path, config, environment) as process:
        yield process


async def ask(bridge: BridgeProcess, automation: str, value: dict[str, Any], **headers: str) -> dict[str, Any]:
    path = f"/v1/automations/{automation}/requests"
    async with aiohttp.ClientSession(bridge.url) as http, http.post(path, json=value, headers=headers) as answer:
        found: dict[str, Any] = await answer.json()
        return found


def is_whole(spans: list[ReceivedSpan]) -> bool:
    return any(each.name == "send automation-replies" for each in spans) and any(each.kind == "SERVER" for each in spans)


async def fan_out(runtime: Runtime, bridge: BridgeProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of both kinds of targets: the work as its function got it, and the reply."""
    asked = {"text": "hello", "password": PASSWORD}
    await ask(bridge, FAN_OUT, asked, **{"traceparent": CALLER, "tracestate": "vendor=1", "x-correlation-id": "order-1"})
    async with runtime.bus(bridge) as bus:
        work, _ = await bus.receive("work/worker")
        # As bytes, because Dapr would put the trace of its own client in place of the one in the event.
        await bus.send("automation-results", json.dumps({**result_of(work), "traceparent": work["traceparent"]}).encode())
        reply, _ = await bus.receive("automation-replies/requesters")
    return work, reply


async def test_a_fan_out_is_one_trace_of_the_caller(runtime: Runtime, traced: BridgeProcess, receiver: Receiver, app: Scripted) -> None:
    work, reply = await fan_out(runtime, traced)
    spans = await receiver.until(is_whole)
    await traced.stop()
    accepted = f"caller > POST {SUBMIT} > accept"
    embedded = traced.data_dir.joinpath("bridge.db").exists()
    taken = accepted if embedded else f"{accepted} > send automation-requests > process automation-requests"
    over_the_bus = [] if embedded else [f"PRODUCER {accepted} > send automation-requests", f"CONSUMER {taken}"]
    assert receiver.tree() == sorted(
        [
            f"SERVER caller > POST {SUBMIT}",
            f"INTERNAL {accepted}",
            *over_the_bus,
            f"CLIENT {accepted} > POST /api/echo",
            f"PRODUCER {taken} > send work",
            f"CONSUMER {taken} > send work > process automation-results",
            *_replied(receiver, accepted, taken),
        ]
    )
    assert {each.trace_id for each in spans} == {CALLER[3:35]}
    by_name = {each.name: each for each in spans}
    (_, headers, _) = app.calls[0]
    assert headers["traceparent"][36:52] == by_name["POST /api/echo"].span_id
    assert work["traceparent"][36:52] == by_name["send work"].span_id
    assert reply["traceparent"][36:52] == by_name["send automation-replies"].span_id
    assert headers["tracestate"] == work["tracestate"] == reply["tracestate"] == "vendor=1"
    assert by_name["process automation-results"].links == (by_name["send work"].span_id,)


def _replied(receiver: Receiver, accepted: str, taken: str) -> list[str]:
    """The reply is below what ended the run: the result, or the call, if that came last."""
    by_name = {each.name: each for each in receiver.spans}
    ended_by_result = by_name["send automation-replies"].parent_id == by_name["process automation-results"].span_id
    return [f"PRODUCER {f'{taken} > send work > process automation-results' if ended_by_result else accepted} > send automation-replies"]


async def test_spans_say_what_was_done_and_nothing_secret(runtime: Runtime, traced: BridgeProcess, receiver: Receiver) -> None:
    work, _ = await fan_out(runtime, traced)
    spans = await receiver.until(is_whole)
    by_name = {each.name: each for each in spans}
    called = by_name["POST /api/echo"].attributes
    expected = {"bridge.automation": FAN_OUT, "bridge.correlation_id": "order-1", "bridge.target": "called", "bridge.attempt": 1}
    assert expected.items() <= called.items()
    assert (called["http.response.status_code"], called["bridge.outcome"]) == (200, "Succeeded")
    assert by_name["send work"].attributes["messaging.destination.name"] == "work"
    assert by_name["send automation-replies"].attributes["bridge.status"] == "Succeeded"
    assert by_name[f"POST {SUBMIT}"].attributes["http.response.status_code"] == 202
    assert spans[0].resource["service.name"] == "automation-bridge"
    assert not any(each.error for each in spans)
    for secret in (PASSWORD, KEY, work["invocationtoken"], "marked-collector-key", *runtime.secrets(traced)):
        assert secret not in "".join(receiver.raw)
    assert {each["x-api-key"] for each in receiver.headers} == {"marked-collector-key"}


async def test_log_lines_of_a_run_have_the_ids_of_its_trace(runtime: Runtime, traced: BridgeProcess, receiver: Receiver) -> None:
    await fan_out(runtime, traced)
    spans = {each.name: each for each in await receiver.until(is_whole)}
    await traced.stop()
    lines = [json.loads(line) for line in traced.log().splitlines() if '"run":"order-1"' in line]
    steps = {line["step"]: line for line in lines if "step" in line}
    assert {"run.accepted", "attempt.started", "run.dispatched", "attempt.ended", "run.ended", "run.replied"} <= steps.keys()
    assert {line.get("trace_id") for line in lines} == {CALLER[3:35]}
    assert steps["attempt.started"]["span_id"] == spans["POST /api/echo"].span_id
    assert steps["run.accepted"]["span_id"] == spans["accept"].span_id


async def test_log_lines_have_the_trace_of_the_caller_without_telemetry_too(runtime: Runtime, app: Scripted, tmp_path: Path) -> None:
    async with runtime.bridge(tmp_path, scripted_config(app.url, "log_format: json"), {"SCRIPTED_KEY": KEY}) as bridge:
        await ask(bridge, "echo", {}, traceparent=CALLER, **{"x-correlation-id": "order-2", "prefer": "wait=20"})
        await bridge.stop()
        lines = [json.loads(line) for line in bridge.log().splitlines() if '"run":"order-2"' in line]
    assert {"run.accepted", "attempt.started", "run.ended"} <= {line.get("step") for line in lines}
    assert {(line["trace_id"], line["span_id"]) for line in lines} == {(CALLER[3:35], CALLER[36:52])}


async def test_a_bridge_whose_collector_is_away_works_as_ever(runtime: Runtime, app: Scripted, tmp_path: Path) -> None:
    async with receiving() as gone:
        environment = {"SCRIPTED_KEY": KEY, **gone.environment, "OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    async with runtime.bridge(tmp_path, scripted_config(app.url), environment) as bridge:
        for number in range(30):
            run = await ask(bridge, "echo", {"number": number}, prefer="wait=20")
            assert run["status"] == "Succeeded"
        assert await bridge.stop() == 0


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "there is no such sampler"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "OTEL_METRICS_EXPORTER=prometheus: the bridge exports by otlp"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "60s"}, "OTEL_METRIC_EXPORT_INTERVAL=60s"),
    ],
)
async def test_telemetry_that_cannot_be_as_it_is_asked_for_is_refused_at_the_start(
    app: Scripted, tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    asked = {"SCRIPTED_KEY": KEY, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **environment}
    with pytest.raises(AssertionError, match=told):
        await BridgeProcess(tmp_path / "data", scripted_config(app.url), environment=asked).start()
