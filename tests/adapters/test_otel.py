"""Spans of the SDK: what is handed on of them, and that a collector which is away keeps nobody."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased

from bridge.adapters import otel
from bridge.cloudevents import tracecontext
from bridge.errors import ConfigurationError
from bridge.local.freeports import free_ports
from bridge.tracing import NOWHERE, SpanKind, TraceContext
from tests.tracing_kit import CALLER, UNSAMPLED, Recorded, attributes, traceparent_of


def test_a_span_hands_on_its_own_ids_and_the_tracestate_of_its_parent() -> None:
    recorded = Recorded()
    span = recorded.tracer.start(SpanKind.CLIENT, "call", TraceContext(CALLER, "vendor=1,other=2"))
    span.end()
    assert span.context == (traceparent_of(recorded.spans[0]), "vendor=1,other=2")
    assert span.context.trace_id == CALLER[3:35]
    assert span.context.sampled


@pytest.mark.parametrize("state", ["vendor=1,t@v=2", "1vendor=x", "t@1=z", "a@b@c=1", "vendor=1,vendor=2", "vendor=1,1vendor=x"])
def test_every_valid_tracestate_goes_on_as_it_came_and_the_sdk_has_nothing_to_say_about_it(
    state: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracecontext.forwarded(CALLER, state) == (CALLER, state)
    recorded = Recorded()
    with caplog.at_level(logging.DEBUG):
        span = recorded.tracer.start(SpanKind.CLIENT, "call", TraceContext(CALLER, state), [TraceContext(CALLER, state)])
        below = recorded.tracer.start(SpanKind.CLIENT, "call", span.context)
    below.end()
    span.end()
    assert (span.context.tracestate, below.context.tracestate) == (state, state)
    assert {each.context.trace_state.to_header() for each in recorded.spans} == {state if state == "vendor=1,t@v=2" else ""}
    assert not caplog.records


def test_a_later_version_of_the_trace_context_is_joined_as_well() -> None:
    recorded = Recorded()
    recorded.tracer.start(SpanKind.CLIENT, "call", TraceContext(f"01{CALLER[2:]}-more")).end()
    assert recorded.tree() == ["CLIENT caller > call"]


def test_an_error_is_the_status_of_a_span_and_its_kind() -> None:
    recorded = Recorded()
    recorded.tracer.start(SpanKind.CLIENT, "call", NOWHERE).end("Timeout")
    (found,) = recorded.spans
    assert (attributes(found), found.status.is_ok) == ({"error.type": "Timeout"}, False)


@pytest.mark.parametrize(
    ("sampler", "recorded_at_all"),
    [(ParentBased(ALWAYS_ON), False), (ALWAYS_ON, True), (TraceIdRatioBased(1), True), (ALWAYS_OFF, False)],
)
def test_only_a_sampler_that_heeds_the_parent_leaves_out_what_nobody_records(sampler, recorded_at_all) -> None:
    recorded = Recorded(sampler)
    recorded.tracer.start(SpanKind.INTERNAL, "accept", TraceContext(UNSAMPLED)).end()
    assert bool(recorded.spans) == recorded_at_all


def test_of_new_traces_the_share_of_the_sampler_is_recorded_and_every_context_says_whether_its_trace_is() -> None:
    sampler = TraceIdRatioBased(0.25)
    recorded = Recorded(ParentBased(sampler))
    spans = [recorded.tracer.start(SpanKind.SERVER, "call", NOWHERE) for _ in range(400)]
    for span in spans:
        span.end()
    sampled = {span.context.trace_id for span in spans if span.context.sampled}
    assert {f"{each.context.trace_id:032x}" for each in recorded.spans} == sampled
    assert len({span.context.traceparent for span in spans}) == 400
    assert all((int(span.context.trace_id[16:], 16) < sampler.bound) == span.context.sampled for span in spans)
    assert 40 < len(sampled) < 160
    assert [recorded.tracer.skips(span.context.traceparent) for span in spans] == [not span.context.sampled for span in spans]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that nobody has started."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    monkeypatch.setattr(otel, "LAST_EXPORT", 0.5)


@pytest.mark.usefixtures("away")
async def test_a_collector_that_is_away_keeps_neither_a_span_nor_the_end() -> None:
    async with asyncio.timeout(20), otel.exporting() as tracer:
        for _ in range(1_000):
            tracer.start(SpanKind.INTERNAL, "accept", NOWHERE).end()


def test_spans_that_are_asked_for_without_the_libraries_are_refused_at_the_start_with_the_mend(tmp_path: Path) -> None:
    without = "import sys; sys.modules['opentelemetry'] = None; from bridge.cli import main; main()"
    command = [sys.executable, "-c", without, "up", "--port", "0", "--data-dir", str(tmp_path / "data")]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 2
    assert "pip install 'automation-bridge[otel]'" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_bridge_without_telemetry_loads_nothing_of_it() -> None:
    look = (
        "import sys, bridge.cli, bridge.app, bridge.server, bridge.api;"
        "print([each for each in sys.modules if each.startswith(('opentelemetry', 'requests'))])"
    )
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


async def test_what_only_the_sdk_refuses_is_a_mistake_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "vault")
    with pytest.raises(ConfigurationError, match="spans cannot be exported: Requested component 'vault' not found"):
        async with otel.exporting():
            pass
    monkeypatch.delenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    with pytest.raises(ConfigurationError, match=r"max_export_batch_size must be less than or equal to max_queue_size"):
        async with otel.exporting():
            pass


@pytest.mark.parametrize(
    "variable", ["OTEL_BSP_MAX_QUEUE_SIZE=100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=abc"]
)
def test_a_number_that_cannot_be_used_ends_the_start_with_a_sentence(tmp_path: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    command = [sys.executable, "-m", "bridge", "up", "--port", "0", "--data-dir", str(tmp_path / "data")]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: value}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 2
    assert variable in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
