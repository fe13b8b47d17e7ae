"""What the SDK may write into the log."""

from __future__ import annotations

import logging

import pytest

from bridge.adapters import otelexport, otellogs
from bridge.local.freeports import free_ports
from bridge.logs import OncePerMinute
from bridge.settings.exporting import Exports
from bridge.settings.exportingmetrics import MetricsExport
from bridge.tracing import NOWHERE, SpanKind
from tests.adapters.test_otelexport import registry


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loggers as those of a process that has exported nothing yet."""
    monkeypatch.setattr(otellogs, "_limits", {name: OncePerMinute() for name in otellogs._LIMITED})
    for name in (*otellogs._LIMITED, *otellogs._NAMING):
        monkeypatch.setattr(logging.getLogger(name), "filters", [])


async def test_a_key_in_the_query_of_the_endpoint_is_not_logged_when_the_collector_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    for signal in ("traces", "metrics"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", f"http://user:SECRET@{address}/v1/{signal}?api_key=SECRET")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5")  # long enough for a second try, of which the log says the reason
    monkeypatch.setattr(otelexport, "LAST_EXPORT", 10.0)
    with caplog.at_level(logging.DEBUG):
        async with otelexport.exporting(Exports(spans=True, metrics=MetricsExport(within=2.5)), [registry()]) as tracer:
            assert tracer is not None
            tracer.start(SpanKind.INTERNAL, "accept", NOWHERE).end()
    told = [each.getMessage() for each in caplog.records if each.name.startswith("opentelemetry.exporter")]
    assert any("/v1/traces…" in each for each in told)
    assert any("/v1/metrics…" in each for each in told)
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("name", otellogs._NAMING)
@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("Max retries exceeded with url: /v1/traces?api_key=SECRET (Caused by)", "Max retries exceeded with url: /v1/traces… (Caused by)"),
        ("Failed to parse: http://user:SECRET@host/v1/traces", "Failed to parse: http://…host/v1/traces"),
        ("no answer", "no answer"),
    ],
)
async def test_user_and_query_of_an_address_are_masked(name: str, written: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    async with otelexport.exporting(Exports(spans=True)):
        logging.getLogger(name).error("%s", written)
    assert caplog.messages == [told]


@pytest.mark.parametrize("name", ["opentelemetry.trace.span", "opentelemetry.util.re"])
async def test_what_the_sdk_cannot_read_of_callers_is_told_once_a_minute(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with otelexport.exporting(Exports(spans=True)):
        for number in range(50):
            logging.getLogger(name).warning("Member doesn't match the w3c identifiers format %s", number)
    assert len(caplog.messages) == 1
