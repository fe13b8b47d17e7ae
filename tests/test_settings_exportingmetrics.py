"""When metrics are exported, how often and how, and what is refused instead of being passed over."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from bridge.settings.exporting import Exports, exports
from bridge.settings.exportingmetrics import MetricsExport

ENDPOINT = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}
PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


@pytest.mark.parametrize(
    ("environ", "exported"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces", "OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=1"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        (ENDPOINT, True),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "nonsense", "OTEL_BSP_SCHEDULE_DELAY": "5s"}, True),
    ],
)
def test_metrics_are_exported_where_that_is_configured(environ: dict[str, str], exported: bool) -> None:
    assert (exports(environ).metrics is not None) is exported


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, MetricsExport(every=60, within=10, delta=False)),
        ({"OTEL_METRIC_EXPORT_INTERVAL": " 1500 ", "OTEL_METRIC_EXPORT_TIMEOUT": ""}, MetricsExport(every=1.5)),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "2500"}, MetricsExport(within=2.5)),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "20000"}, MetricsExport(within=10)),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "60"}, MetricsExport(within=30)),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "3", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "4.5"}, MetricsExport(within=4.5)),
        ({PREFERENCE: "Cumulative"}, MetricsExport(delta=False)),
        ({PREFERENCE: "DELTA"}, MetricsExport(delta=True)),
        ({PREFERENCE: "lowmemory"}, MetricsExport(delta=True)),
        (
            {
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "explicit_bucket_histogram",
                "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
            },
            MetricsExport(),
        ),
    ],
)
def test_they_leave_as_the_variables_say(environ: dict[str, str], expected: MetricsExport) -> None:
    assert exports(ENDPOINT | environ) == Exports(spans=False, metrics=expected)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "the bridge exports by otlp; write otlp, or none for no metrics"),
        (ENDPOINT | {PREFERENCE: "deltas"}, f"{PREFERENCE}=deltas: there is no such preference; write cumulative, delta or lowmemory"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"},
            "the buckets of the bridge are those of /metrics",
        ),
        (ENDPOINT | {"OTEL_METRICS_EXEMPLAR_FILTER": "trace_based"}, "the bridge sends no exemplars; write always_off, or nothing"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc: the bridge exports by"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "zip"}, "write none, gzip or deflate"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: expected an address"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1/#SECRET"}, "has a fragment, which is never sent"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h/?key=SECRET", "OTEL_TRACES_EXPORTER": "none"},
            "as OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, or",
        ),
    ],
)
def test_what_would_do_something_else_than_it_says_is_refused(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        exports(environ)
    (problem,) = refused.value.problems
    assert told in problem
    assert "SECRET" not in problem


def test_what_is_wrong_for_spans_and_metrics_alike_is_told_once() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ConfigurationError) as refused:
        exports(environ)
    assert len(refused.value.problems) == 1
