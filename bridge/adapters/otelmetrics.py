"""What Prometheus' registries hold, as metrics of OpenTelemetry: what is counted for /metrics is not counted again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from bridge.metrics import OWN, Instrument, Kind
from bridge.metrics.meters import CONVENTIONAL, INTEGERS

Attributes = Mapping[str, str | int]
_INSTRUMENTS = {**OWN, **CONVENTIONAL}
_UNKNOWN: Any = None  #: the least and the greatest value of a histogram: OTLP has them only where they are known


class Distribution(NamedTuple):
    """What a histogram has counted: how many values lay up to each boundary and beyond the last, and their sum."""

    counts: tuple[int, ...]
    sum: float

    def since(self, earlier: Distribution | None) -> Distribution:
        """What came after `earlier`."""
        if earlier is None:
            return self
        return Distribution(tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True)), self.sum - earlier.sum)


class Readings:
    """Turns what the registries hold into metrics of OpenTelemetry."""

    def __init__(self, registries: Sequence[CollectorRegistry], *, delta: bool = False) -> None:
        self._registries, self._delta = registries, delta
        self._started = self._since = self._read = time.time_ns()
        self._taken: dict[tuple[str, tuple[str, ...]], Any] = {}  # what the collector knows, by the names of metric and label values
        self._given: dict[tuple[str, tuple[str, ...]], Any] = {}

    def read(self) -> list[Metric]:
        """All metrics that have values. One that has no other name than Prometheus' is left out."""
        self._read, self._given = max(time.time_ns(), self._since + 1), {}
        families = [each for registry in self._registries for each in registry.collect()]
        return [self._metric(each, _INSTRUMENTS[each.name]) for each in families if each.samples and each.name in _INSTRUMENTS]

    def taken(self) -> None:
        """The collector has what was read last: of counters and histograms only what comes now is sent, if that is asked for."""
        if self._delta:
            self._since, self._taken = self._read, self._given

    def _metric(self, family: Family, instrument: Instrument) -> Metric:
        temporality = AggregationTemporality.DELTA if self._delta else AggregationTemporality.CUMULATIVE
        data: Histogram | Sum | Gauge
        if instrument.kind is Kind.HISTOGRAM:
            data = Histogram(list(self._distributions(family, instrument)), temporality)
        elif instrument.kind is Kind.COUNTER:
            data = Sum(list(self._counts(family, instrument)), temporality, is_monotonic=True)
        elif instrument.kind is Kind.UP_DOWN_COUNTER:
            data = Sum(list(self._values(family, instrument)), AggregationTemporality.CUMULATIVE, is_monotonic=False)
        else:
            data = Gauge(list(self._values(family, instrument)))
        return Metric(instrument.name, family.documentation, instrument.unit, data)

    def _distributions(self, family: Family, instrument: Instrument) -> Iterator[HistogramDataPoint]:
        for labels, bounds, found in distributions(family):
            named, new = attributes(labels, instrument), self._new(family, labels, found)
            yield HistogramDataPoint(
                named, self._since, self._read, sum(new.counts), new.sum, new.counts, bounds, min=_UNKNOWN, max=_UNKNOWN
            )

    def _counts(self, family: Family, instrument: Instrument) -> Iterator[NumberDataPoint]:
        for sample in (each for each in family.samples if each.name.endswith("_total")):
            new = self._new(family, sample.labels, int(sample.value))
            yield NumberDataPoint(attributes(sample.labels, instrument), self._since, self._read, new)

    def _values(self, family: Family, instrument: Instrument) -> Iterator[NumberDataPoint]:
        for sample in family.samples:
            value = sample.value if instrument.kind is Kind.GAUGE else int(sample.value)
            yield NumberDataPoint(attributes(sample.labels, instrument), self._started, self._read, value)

    def _new(self, family: Family, labels: Mapping[str, str], value: Any) -> Any:
        """What the collector does not have yet of a value, which is all of it unless deltas are asked for."""
        if not self._delta:
            return value
        key = (family.name, tuple(labels.values()))
        earlier, self._given[key] = self._taken.get(key), value
        return value.since(earlier) if isinstance(value, Distribution) else value - (earlier or 0)


def distributions(family: Family) -> Iterator[tuple[dict[str, str], list[float], Distribution]]:
    """The series of a histogram: labels, boundaries, and what each bucket has by itself; Prometheus' buckets hold those below, too."""
    series: dict[tuple[str, ...], list[Sample]] = {}
    for sample in family.samples:
        series.setdefault(tuple(value for name, value in sample.labels.items() if name != "le"), []).append(sample)
    for samples in series.values():
        buckets = [each for each in samples if each.name.endswith("_bucket")]
        (total,) = (each for each in samples if each.name.endswith("_sum"))
        up_to = [int(each.value) for each in buckets]
        counts = tuple(own - below for own, below in zip(up_to, [0, *up_to], strict=False))
        yield total.labels, [float(each.labels["le"]) for each in buckets[:-1]], Distribution(counts, total.value)


def attributes(labels: Mapping[str, str], instrument: Instrument) -> Attributes:
    """The labels by the names of OpenTelemetry, without those that are empty."""
    named = ((instrument.attributes[label], value) for label, value in labels.items() if value)
    return {name: int(value) if name in INTEGERS else value for name, value in named}
