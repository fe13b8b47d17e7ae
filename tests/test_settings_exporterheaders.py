"""The headers of the exporter: which are taken, and that none of those that are refused is repeated."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.util.re import parse_env_headers

from bridge.errors import ConfigurationError
from bridge.settings.exporting import exports

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
VARIABLES = [f"OTEL_EXPORTER_OTLP_{each}HEADERS" for each in ("", "TRACES_", "METRICS_")]


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    "headers",
    [
        "authorization=Bearer%20SECRET",
        "authorization=Bearer SECRET",
        "x-key=SECRET==, tenant = one ,",
        "x-key=SECRET\n",
        "x-key=",
        "",
    ],
)
def test_headers_that_can_be_sent_are_taken_and_read_by_the_sdk_without_a_word(
    variable: str, headers: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert exports({**ENDPOINT, variable: headers}).metrics
    with caplog.at_level(logging.DEBUG):
        parse_env_headers(headers, liberal=True)
    assert not caplog.records


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    "header",
    [
        "authorization: Bearer SECRET",
        "SECRET",
        "x key=SECRET",
        "x%20key=SECRET",
        "x-key=SECRETé",
        "x-kéy=SECRET",
        "x-key=SECRET%C3%A9",
        "x-key=SECRET%0A",
        "x-key=SECRET\nnext",
        "x-key=SECRET;more",
        "x-key=SECRET\tmore",
        'x-key="SECRET"',
        "=SECRET",
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_by_its_number_and_not_repeated(variable: str, header: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        exports({**ENDPOINT, variable: f"tenant=one,{header}"})
    (problem,) = refused.value.problems
    assert problem.startswith(f"{variable}: header 2 cannot be sent: expected name=value")
    assert "SECRET" not in problem
