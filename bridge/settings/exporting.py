"""What is exported, according to the variables of every OpenTelemetry SDK (docs/telemetry.md).

Values that the Python SDK would ignore with a warning, or for which it would use another exporter than the one named, are refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from bridge.errors import ConfigurationError
from bridge.settings import exportingmetrics
from bridge.settings.exporterheaders import problems_of_headers
from bridge.settings.exporternumbers import problems_of_numbers
from bridge.settings.exportingmetrics import MetricsExport

TRACES, METRICS = "TRACES", "METRICS"  #: the signals, as they stand in the names of variables
_SENT = {TRACES: "spans", METRICS: "metrics"}
_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
_PROTOCOL = "http/protobuf"
_RATIOS = ("traceidratio", "parentbased_traceidratio")
_SAMPLERS = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *_RATIOS)


class Exports(NamedTuple):
    """What is exported to a collector: spans, and metrics with their options."""

    spans: bool = False
    metrics: MetricsExport | None = None


def exports(environ: Mapping[str, str]) -> Exports:
    """Read what is configured. A signal is exported if its endpoint or exporter is named and it is not switched off.

    Raises ConfigurationError for values that the bridge cannot follow. The error does not repeat endpoints and headers,
    because they may contain a key.
    """
    signals = [each for each in _SENT if _is_asked_for(environ, each)]
    if not signals:
        return Exports()
    if problems := list(_problems(environ, signals)):
        raise ConfigurationError(problems)
    return Exports(TRACES in signals, exportingmetrics.read(environ) if METRICS in signals else None)


def _is_asked_for(environ: Mapping[str, str], signal: str) -> bool:
    exporter = _of(environ, f"OTEL_{signal}_EXPORTER")
    if _of(environ, "OTEL_SDK_DISABLED") == "true" or exporter == "none":
        return False
    return bool(exporter or _of(environ, _endpoint(signal)) or _of(environ, _BASE))


def _problems(environ: Mapping[str, str], signals: Collection[str]) -> Iterator[str]:
    for signal in signals:
        yield from _problems_of_exporter(environ, signal)
    yield from _problems_of_addresses(environ, signals)
    yield from _problems_of_sending(environ, signals)
    yield from _problems_of_resource(environ)
    yield from problems_of_headers(environ, signals)
    yield from problems_of_numbers(environ, signals)
    if TRACES in signals:
        yield from _problems_of_sampler(environ)
    if METRICS in signals:
        yield from exportingmetrics.problems(environ)


def _problems_of_exporter(environ: Mapping[str, str], signal: str) -> Iterator[str]:
    if (exporter := _of(environ, f"OTEL_{signal}_EXPORTER")) not in ("", "otlp"):
        yield f"OTEL_{signal}_EXPORTER={exporter[:100]}: the bridge exports by otlp; write otlp, or none for no {_SENT[signal]}"


def _problems_of_addresses(environ: Mapping[str, str], signals: Collection[str]) -> Iterator[str]:
    whole = [_endpoint(each) for each in signals]
    for name in (*whole, _BASE):
        if (text := environ.get(name, "")) and not _is_address(text):
            yield f"{name}: expected an address such as http://127.0.0.1:4318, without white space"
        if name != _BASE and "#" in text:
            yield f"{name}: has a fragment, which is never sent; leave it out"
    # The SDK appends the path of the signal, which would be in the query then, or be cut off with the fragment.
    if any(mark in environ.get(_BASE, "") for mark in "?#"):
        instead = " and ".join(whole)
        yield f"{_BASE}: has a query or a fragment; write the whole address as {instead}, or a key into OTEL_EXPORTER_OTLP_HEADERS"


def _problems_of_sending(environ: Mapping[str, str], signals: Collection[str]) -> Iterator[str]:
    prefixes = [*(f"OTEL_EXPORTER_OTLP_{each}" for each in signals), "OTEL_EXPORTER_OTLP"]
    for name in (f"{each}_PROTOCOL" for each in prefixes):
        if (protocol := _of(environ, name)) not in ("", _PROTOCOL):
            yield f"{name}={protocol[:100]}: the bridge exports by {_PROTOCOL} (port 4318 of most collectors); write that, or nothing"
    for name in (f"{each}_COMPRESSION" for each in prefixes):
        if (compression := _of(environ, name)) not in ("", "none", "gzip", "deflate"):
            yield f"{name}={compression[:100]}: there is no such compression; write none, gzip or deflate"


def _problems_of_sampler(environ: Mapping[str, str]) -> Iterator[str]:
    sampler, argument = environ.get("OTEL_TRACES_SAMPLER", "").lower(), _of(environ, "OTEL_TRACES_SAMPLER_ARG")
    if sampler and sampler not in _SAMPLERS:
        yield f"OTEL_TRACES_SAMPLER={sampler[:100]}: there is no such sampler; use one of {', '.join(_SAMPLERS)}, without white space"
    if sampler in _RATIOS and argument and not _is_ratio(argument):
        yield f"OTEL_TRACES_SAMPLER_ARG={argument[:100]}: expected a number from 0 to 1, such as 0.01 for one trace in a hundred"


def _problems_of_resource(environ: Mapping[str, str]) -> Iterator[str]:
    for number, attribute in enumerate(environ.get(_RESOURCE, "").split(","), 1):
        name, equals, _ = attribute.partition("=")
        if attribute.strip() and not (equals and name.strip()):
            yield f"{_RESOURCE}: attribute {number} is {attribute[:100]!r}; expected name=value, with several between commas"


def _endpoint(signal: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"


def _of(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip().lower()


def _is_address(text: str) -> bool:
    if any(character.isspace() for character in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
