"""Whether spans are exported, by the variables that every OpenTelemetry SDK has (docs/telemetry.md).

What the SDK for Python would pass over with a warning, or answer with another exporter than the one that was asked for, is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from bridge.errors import ConfigurationError
from bridge.settings.exporterheaders import problems_of_headers
from bridge.settings.exporternumbers import problems_of_numbers

_WHOLE, _BASE = _ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_COMPRESSIONS = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")
_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
_PROTOCOL = "http/protobuf"
_RATIOS = ("traceidratio", "parentbased_traceidratio")
_SAMPLERS = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *_RATIOS)


def exports_spans(environ: Mapping[str, str]) -> bool:
    """Whether telemetry is configured: an endpoint or the exporter is named, and it is not switched off.

    Raises ConfigurationError for values that would do something else than what they say. Endpoints and headers are not repeated in it,
    because they may hold a key.
    """
    exporter = _of(environ, "OTEL_TRACES_EXPORTER")
    if _of(environ, "OTEL_SDK_DISABLED") == "true" or exporter == "none":
        return False
    if not exporter and not any(_of(environ, name) for name in _ENDPOINTS):
        return False
    problems = [*_problems(environ, exporter), *_problems_of_sampler(environ), *_problems_of_resource(environ)]
    if problems := [*problems, *problems_of_headers(environ), *problems_of_numbers(environ)]:
        raise ConfigurationError(problems)
    return True


def _problems(environ: Mapping[str, str], exporter: str) -> Iterator[str]:
    if exporter not in ("", "otlp"):
        yield f"OTEL_TRACES_EXPORTER={exporter[:100]}: the bridge exports by otlp; write otlp, or none for no spans"
    for name in _ENDPOINTS:
        if (text := environ.get(name, "")) and not _is_address(text):
            yield f"{name}: expected an address such as http://127.0.0.1:4318, without white space"
    # The SDK appends the path of spans, which would be in the query then, or be cut off with the fragment.
    if any(mark in environ.get(_BASE, "") for mark in "?#"):
        yield f"{_BASE}: has a query or a fragment; write the whole address as {_WHOLE}, or a key into OTEL_EXPORTER_OTLP_HEADERS"
    if "#" in environ.get(_WHOLE, ""):
        yield f"{_WHOLE}: has a fragment, which is never sent; leave it out"
    for name in _PROTOCOLS:
        if (protocol := _of(environ, name)) not in ("", _PROTOCOL):
            yield f"{name}={protocol[:100]}: the bridge exports by {_PROTOCOL} (port 4318 of most collectors); write that, or nothing"
    for name in _COMPRESSIONS:
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
