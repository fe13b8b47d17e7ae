"""How metrics are exported: how often, and as totals or as changes since the last export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_EXEMPLARS = "OTEL_METRICS_EXEMPLAR_FILTER"
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_CUMULATIVE = "cumulative"
#: They differ only in observable counters, of which the bridge has none.
_DELTAS = ("delta", "lowmemory")
_BUCKETS = "explicit_bucket_histogram"


class MetricsExport(NamedTuple):
    """`every` and `within` are seconds: the interval between two exports, and the timeout of one.

    With `delta`, counters and histograms have the changes since the last successful export, otherwise the totals since the start.
    """

    every: float = 60.0
    within: float = 10.0
    delta: bool = False


def problems(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that the bridge cannot follow. `exporternumbers` checks the numbers."""
    if (temporality := _of(environ, _TEMPORALITY)) not in ("", _CUMULATIVE, *_DELTAS):
        yield f"{_TEMPORALITY}={temporality[:100]}: there is no such preference; write cumulative, delta or lowmemory"
    if (aggregation := _of(environ, _AGGREGATION)) not in ("", _BUCKETS):
        yield f"{_AGGREGATION}={aggregation[:100]}: the buckets of the bridge are those of /metrics; write {_BUCKETS}, or nothing"
    if (exemplars := _of(environ, _EXEMPLARS)) not in ("", "always_off"):
        yield f"{_EXEMPLARS}={exemplars[:100]}: the bridge sends no exemplars; write always_off, or nothing"


def read(environ: Mapping[str, str]) -> MetricsExport:
    """The options in the variables, which must have no problems."""
    every = _seconds(environ, "OTEL_METRIC_EXPORT_INTERVAL", 1000, 60.0)
    most = _seconds(environ, "OTEL_METRIC_EXPORT_TIMEOUT", 1000, 30.0)
    special, general = _TIMEOUTS
    within = _seconds(environ, special, 1, _seconds(environ, general, 1, 10.0))
    return MetricsExport(every, min(most, within), _of(environ, _TEMPORALITY) in _DELTAS)


def _seconds(environ: Mapping[str, str], name: str, divisor: int, default: float) -> float:
    text = _of(environ, name)
    return float(text) / divisor if text else default


def _of(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip().lower()
