"""The numbers among OpenTelemetry's variables: batch sizes, limits of spans, intervals, timeouts.

If the SDK cannot read one, it logs a stack trace and uses the default, or does not start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

_DELAY, _QUEUE, _BATCH = "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
#: What each counts, and what the SDK takes without it (OpenTelemetry SDK environment variables, batch span processor).
_BATCHES = {
    _DELAY: ("milliseconds", 5000),
    _QUEUE: ("spans", 2048),
    _BATCH: ("spans", 512),
    "OTEL_BSP_EXPORT_TIMEOUT": ("milliseconds", 30000),
}
#: The same of the periodic exporting metric reader.
_PERIODS = {"OTEL_METRIC_EXPORT_INTERVAL": ("milliseconds", 60000), "OTEL_METRIC_EXPORT_TIMEOUT": ("milliseconds", 30000)}
_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)
_LONGEST = 600  #: seconds. A higher time limit is meant as milliseconds, which other SDKs count in
_WHOLE = re.compile(r"[0-9]{1,9}")


def problems_of_numbers(environ: Mapping[str, str], signals: Collection[str]) -> Iterator[str]:
    """A sentence for each number of these signals that cannot be used."""
    if "TRACES" in signals:
        yield from _problems_of_counts(environ, _BATCHES)
        yield from _problems_of_spans(environ)
    if "METRICS" in signals:
        yield from _problems_of_counts(environ, {name: each for name, each in _PERIODS.items() if environ.get(name)})
    for name in (*(f"OTEL_EXPORTER_OTLP_{each}_TIMEOUT" for each in signals), "OTEL_EXPORTER_OTLP_TIMEOUT"):
        if (text := environ.get(name, "")) and not 0 < _seconds(text) <= _LONGEST:
            yield f"{name}={text[:100]}: expected a number of seconds above 0, and at most {_LONGEST}, such as 10"


def _problems_of_counts(environ: Mapping[str, str], counts: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    for name, (unit, default) in counts.items():
        if name in environ and _whole(environ[name], 0) < 1:
            yield f"{name}={environ[name][:100]}: expected a whole number of {unit}, 1 or more; without the variable it is {default}"


def _problems_of_spans(environ: Mapping[str, str]) -> Iterator[str]:
    queue, batch = (_whole(environ.get(name, ""), _BATCHES[name][1]) for name in (_QUEUE, _BATCH))
    if batch > queue > 0:
        yield f"{_QUEUE}={queue}: a batch of {batch} does not fit; set {_BATCH} to {queue} or less"
    for name in _LIMITS:
        if (text := environ.get(name, "").strip()) and not _WHOLE.fullmatch(text):
            yield f"{name}={text[:100]}: expected a whole number, 0 or more"


def _whole(text: str, otherwise: int) -> int:
    return int(text) if _WHOLE.fullmatch(text.strip()) else otherwise


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0
