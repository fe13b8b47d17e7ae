"""The standard variables of OpenTelemetry: when spans are exported, and what is refused instead of being passed over."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from bridge.settings.exporting import exports

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "exported"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://collector.example.com/v1/metrics", "OTEL_METRICS_EXPORTER": "otlp"}, False),
        ({"OTEL_SERVICE_NAME": "bridge", "OTEL_TRACES_SAMPLER": "always_on"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example.com/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example.com/v1/traces?api_key=1"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, True),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, True),
        (ENDPOINT | {"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=back%20office, deployment.environment=,"}, True),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "Always_On"}, True),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}, True),
    ],
)
def test_spans_are_exported_where_that_is_configured(environ: dict[str, str], exported: bool) -> None:
    assert exports(environ).spans is exported


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "write otlp, or none"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: the bridge exports by http/protobuf"),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "sometimes"}, "there is no such sampler; use one of always_on"),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1%"}, "expected a number from 0 to 1"),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "expected a number from 0 to 1"),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": " always_off"}, "there is no such sampler; use one of"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, "OTEL_EXPORTER_OTLP_COMPRESSION=zip: there is no such compression"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "zip"}, "write none, gzip or deflate"),
        (ENDPOINT | {"OTEL_RESOURCE_ATTRIBUTES": "a=1,team"}, "OTEL_RESOURCE_ATTRIBUTES: attribute 2 is 'team'; expected name=value"),
        (ENDPOINT | {"OTEL_RESOURCE_ATTRIBUTES": " =1"}, "attribute 1 is ' =1'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, "expected an address such as http://127.0.0.1:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318 "}, "without white space"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318?api_key=SECRET"},
            "write the whole address as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, or",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces#SECRET"}, "has a fragment, which is never sent"),
    ],
)
def test_what_would_do_something_else_than_it_says_is_refused(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        exports(environ)
    (problem,) = refused.value.problems
    assert told in problem
    assert "SECRET" not in problem


def test_all_problems_are_told_at_once_and_no_endpoint_is_repeated() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://user:key@host", "OTEL_TRACES_SAMPLER": "sometimes"}
    with pytest.raises(ConfigurationError) as refused:
        exports(environ)
    assert len(refused.value.problems) == 2
    assert "key" not in str(refused.value)
