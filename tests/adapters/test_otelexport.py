"""The export of spans and metrics: what is refused, and that a collector which is away keeps nobody."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from bridge.adapters import otelexport
from bridge.errors import ConfigurationError
from bridge.local.freeports import free_ports
from bridge.settings.exporting import Exports
from bridge.settings.exportingmetrics import MetricsExport
from bridge.tracing import NOWHERE, SpanKind
from tests.acceptance.otlp_receiver import receiving

SPANS, METRICS = Exports(spans=True), Exports(metrics=MetricsExport(every=600))
BOTH = Exports(spans=True, metrics=MetricsExport(every=600))


def registry() -> CollectorRegistry:
    """One in which a dead letter was counted."""
    made = CollectorRegistry()
    Counter("bridge_dead_letters_total", "Dead letters.", ["reason"], registry=made).labels("GaveUp").inc()
    return made


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that nobody has started."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    monkeypatch.setattr(otelexport, "LAST_EXPORT", 0.5)


@pytest.mark.usefixtures("away")
async def test_a_collector_that_is_away_keeps_neither_a_span_nor_the_end() -> None:
    often = BOTH._replace(metrics=MetricsExport(every=0.01, within=60))
    async with asyncio.timeout(20), otelexport.exporting(often, [registry()]) as tracer:
        assert tracer is not None
        for _ in range(1_000):
            tracer.start(SpanKind.INTERNAL, "accept", NOWHERE).end()


async def test_of_what_is_not_asked_for_there_is_no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        for name, text in receiver.environment.items():
            monkeypatch.setenv(name, text)
        async with otelexport.exporting(METRICS, [registry()]) as tracer:
            assert tracer is None
        assert [each.metric for points in receiver.exports for each in points] == ["bridge.dead_letters"]
        async with otelexport.exporting(SPANS, [registry()]) as tracer:
            assert tracer is not None
            tracer.start(SpanKind.INTERNAL, "accept", NOWHERE).end()
        assert (len(receiver.exports), [each.name for each in receiver.spans]) == (1, ["accept"])


@pytest.mark.parametrize(("variables", "named"), [({}, []), ({"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7"}, ["pod-7"])])
async def test_two_processes_are_told_apart_and_spans_and_metrics_are_of_the_same_one(
    variables: dict[str, str], named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        for name, text in {**receiver.environment, **variables}.items():
            monkeypatch.setenv(name, text)
        for _ in range(2):
            async with otelexport.exporting(BOTH, [registry()]) as tracer:
                assert tracer is not None
                tracer.start(SpanKind.INTERNAL, "accept", NOWHERE).end()
    of_spans = [each.resource["service.instance.id"] for each in receiver.spans]
    assert of_spans == [points[0].resource["service.instance.id"] for points in receiver.exports]
    assert of_spans == named * 2 if named else len(set(of_spans)) == 2


def test_the_last_spans_and_the_last_metrics_leave_at_the_same_time() -> None:
    both_there, seen = threading.Barrier(2), []
    otelexport._within(60, [lambda: seen.append(both_there.wait(20)), lambda: seen.append(both_there.wait(20))])
    assert sorted(seen) == [0, 1]


def test_telemetry_that_is_asked_for_without_the_libraries_is_refused_at_the_start_with_the_mend(tmp_path: Path) -> None:
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
        async with otelexport.exporting(SPANS):
            pass
    with pytest.raises(ConfigurationError, match=r"metrics cannot be exported: .* or set OTEL_METRICS_EXPORTER=none"):
        async with otelexport.exporting(METRICS):
            pass
    monkeypatch.delenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    with pytest.raises(ConfigurationError, match=r"max_export_batch_size must be less than or equal to max_queue_size"):
        async with otelexport.exporting(SPANS):
            pass


@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_BSP_MAX_QUEUE_SIZE=100",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=abc",
        "OTEL_METRIC_EXPORT_INTERVAL=60s",
    ],
)
def test_a_number_that_cannot_be_used_ends_the_start_with_a_sentence(tmp_path: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    command = [sys.executable, "-m", "bridge", "up", "--port", "0", "--data-dir", str(tmp_path / "data")]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: value}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 2
    assert variable in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
