"""Counters and gauges of Prometheus for what happens several times in each request. One thread changes them; any may read.

Prometheus' own take four times as long for each change, with locks and checks that one thread does not need.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class LabelledCounter(Collector):
    """A counter for each combination of labels; `name` is that of its samples, with `_total`."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._counts: dict[tuple[str, ...], int] = {}
        self._created: dict[tuple[str, ...], float] = {}  # seconds since 1970
        registry.register(self)

    def add(self, *values: str) -> None:
        """Count one for these values of the labels."""
        try:
            self._counts[values] += 1
        except KeyError:  # only the first time
            self.show(*values)
            self._counts[values] += 1

    def show(self, *values: str) -> None:
        """Let the counter of these values be seen, as zero if nothing was counted."""
        if values not in self._counts:
            self._created[values] = time.time()
            self._counts[values] = 0

    def collect(self) -> Iterator[Metric]:
        """All that was counted, as a collector of Prometheus."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in list(self._counts.items()):
            # PROMETHEUS_DISABLE_CREATED_SERIES holds for these, too.
            family.add_metric(values, count, self._created[values] if metrics._use_created else None)
        yield family


class LabelledGauge(Collector):
    """A number that goes up and down, for each combination of labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._numbers: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def change(self, by: int, *values: str) -> None:
        """Let the number of these values go up, or down, by so much."""
        self._numbers[values] = self._numbers.get(values, 0) + by

    def collect(self) -> Iterator[Metric]:
        """All numbers, as a collector of Prometheus."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, number in list(self._numbers.items()):
            family.add_metric(values, number)
        yield family
