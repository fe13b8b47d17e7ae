"""Metrics leave time and again, a last time at the end, and nothing that fails ends that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter

from bridge.adapters.otelmetrics import Readings
from bridge.adapters.otelperiodic import PeriodicExport

PATIENCE = 30  #: seconds


class Collector(MetricExporter):
    """Takes what it gets, or does with it what the test says."""

    def __init__(self, answers: Callable[[int], MetricExportResult] = lambda _: MetricExportResult.SUCCESS) -> None:
        super().__init__()
        self.answers, self.values, self.ended = answers, [], False
        self.came = threading.Semaphore(0)

    def export(self, metrics_data: MetricsData, *_: Any, **__: Any) -> MetricExportResult:
        (metric,) = metrics_data.resource_metrics[0].scope_metrics[0].metrics
        self.values.append(next(iter(metric.data.data_points)).value)
        self.came.release()
        return self.answers(len(self.values))

    def force_flush(self, *_: Any) -> bool:
        return True

    def shutdown(self, *_: Any, **__: Any) -> None:
        self.ended = True

    def wait(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.came.acquire(timeout=PATIENCE)


def periodic(collector: Collector, every: float, *, delta: bool = False) -> tuple[PeriodicExport, Counter]:
    registry = CollectorRegistry()
    dead_letters = Counter("bridge_dead_letters_total", "Dead letters.", ["reason"], registry=registry)
    return PeriodicExport(Readings([registry], delta=delta), Resource.create(), "bridge", every, collector), dead_letters


def test_they_leave_at_every_interval_and_a_last_time_at_the_end() -> None:
    collector = Collector()
    export, dead_letters = periodic(collector, 0.01)
    dead_letters.labels("GaveUp").inc()
    export.start()
    collector.wait(3)
    dead_letters.labels("GaveUp").inc()
    export.finish()
    assert (collector.values[:3], collector.values[-1], collector.ended) == ([1, 1, 1], 2, True)


def test_before_the_first_interval_is_over_the_end_sends_what_there_is() -> None:
    collector = Collector()
    export, dead_letters = periodic(collector, 600)
    export.start()
    dead_letters.labels("GaveUp").inc()
    export.finish()
    assert collector.values == [1]


def test_where_nothing_was_counted_nothing_is_sent() -> None:
    collector = Collector()
    export, _ = periodic(collector, 600)
    export.start()
    export.finish()
    assert (collector.values, collector.ended) == ([], True)


def test_a_delta_that_was_refused_is_sent_again() -> None:
    collector = Collector(lambda number: MetricExportResult.FAILURE if number == 1 else MetricExportResult.SUCCESS)
    export, dead_letters = periodic(collector, 0.01, delta=True)
    dead_letters.labels("GaveUp").inc(5)
    export.start()
    collector.wait(3)
    export.finish()
    assert collector.values[:3] == [5, 5, 0]


def test_a_mistake_is_told_and_the_next_export_is_made(caplog: pytest.LogCaptureFixture) -> None:
    def stumbling(number: int) -> MetricExportResult:
        if number == 1:
            raise TypeError("a mistake")
        return MetricExportResult.SUCCESS

    collector = Collector(stumbling)
    export, dead_letters = periodic(collector, 0.01)
    dead_letters.labels("GaveUp").inc()
    export.start()
    collector.wait(2)
    export.finish()
    assert "metrics could not be exported" in caplog.text
    assert "a mistake" in caplog.text
