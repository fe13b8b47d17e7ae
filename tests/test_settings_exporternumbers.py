"""The numbers that batches, spans and time limits of the exporter are set with."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from bridge.settings.exporting import exports

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    "numbers",
    [
        {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BSP_EXPORT_TIMEOUT": " 1000 "},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "512"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0", "OTEL_SPAN_LINK_COUNT_LIMIT": ""},
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "2.5", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": ""},
    ],
)
def test_numbers_that_the_sdk_reads_are_taken(numbers: dict[str, str]) -> None:
    assert exports(ENDPOINT | numbers).spans


@pytest.mark.parametrize(
    "unused",
    [
        {"OTEL_METRICS_EXPORTER": "none", "OTEL_METRIC_EXPORT_INTERVAL": "60s", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "nan"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "5s", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "nan"},
    ],
)
def test_numbers_of_what_is_not_exported_are_nobody_s_business(unused: dict[str, str]) -> None:
    found = exports(ENDPOINT | unused)
    assert found.spans is not (found.metrics is not None)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"OTEL_BSP_SCHEDULE_DELAY": "5s"}, "OTEL_BSP_SCHEDULE_DELAY=5s: expected a whole number of milliseconds, 1 or more"),
        ({"OTEL_BSP_SCHEDULE_DELAY": ""}, "without the variable it is 5000"),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "-1"}, "OTEL_BSP_EXPORT_TIMEOUT=-1: expected a whole number of milliseconds"),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0"}, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0: expected a whole number of spans, 1 or more"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "9" * 5000}, "expected a whole number of spans"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "100"}, "a batch of 512 does not fit; set OTEL_BSP_MAX_EXPORT_BATCH_SIZE to 100 or less"),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"}, "OTEL_BSP_MAX_QUEUE_SIZE=2048: a batch of 4096 does not fit"),
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "abc"}, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=abc: expected a whole number, 0 or more"),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "-1"}, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=-1: expected a whole number, 0 or more"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT=10s: expected a number of seconds above 0"),
        ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "nan"}, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=nan: expected a number of seconds"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10000"}, "at most 600, such as 10"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "60s"}, "OTEL_METRIC_EXPORT_INTERVAL=60s: expected a whole number of milliseconds, 1 or more"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "0"}, "without the variable it is 60000"),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "1.5"}, "OTEL_METRIC_EXPORT_TIMEOUT=1.5: expected a whole number of milliseconds"),
        ({"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "0"}, "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=0: expected a number of seconds above 0"),
    ],
)
def test_a_number_that_the_sdk_would_pass_over_or_stumble_on_is_refused(numbers: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        exports(ENDPOINT | numbers)
    (problem,) = refused.value.problems
    assert told in problem
    assert len(problem) < 300
