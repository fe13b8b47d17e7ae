"""What Prometheus' registries hold, as OpenTelemetry has it."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge.adapters.otelmetrics import Readings
from bridge.metrics.meters import Meters


class Counted:
    """A registry with three of the bridge's own metrics, and readings of it."""

    def __init__(self, *, delta: bool = False) -> None:
        self.registry = CollectorRegistry()
        self.runs = Counter("bridge_runs_ended_total", "Runs ended.", ["automation", "status"], registry=self.registry)
        self.seconds = Histogram("bridge_run_seconds", "Seconds.", ["automation"], buckets=(1, 5, 15), registry=self.registry)
        self.calls = Gauge("bridge_calls_under_way", "Calls.", ["app"], registry=self.registry)
        self.success = Gauge("bridge_canary_last_success_timestamp_seconds", "When.", ["automation"], registry=self.registry)
        self.readings = Readings([self.registry], delta=delta)

    def read(self) -> dict[str, Metric]:
        return {each.name: each for each in self.readings.read()}


def points(metric: Metric) -> list[Any]:
    return list(metric.data.data_points)


def temporality(metric: Metric) -> Any:
    return getattr(metric.data, "aggregation_temporality", None)


def test_a_counter_is_a_monotonic_sum_of_whole_numbers() -> None:
    counted = Counted()
    counted.runs.labels("report", "Succeeded").inc(3)
    counted.runs.labels("", "Failed").inc()
    found = counted.read()["bridge.runs.ended"]
    assert (found.unit, found.description, getattr(found.data, "is_monotonic", None)) == ("{run}", "Runs ended.", True)
    assert [(each.attributes, each.value, type(each.value)) for each in points(found)] == [
        ({"bridge.automation": "report", "bridge.status": "Succeeded"}, 3, int),
        ({"bridge.status": "Failed"}, 1, int),
    ]
    assert all(each.start_time_unix_nano < each.time_unix_nano for each in points(found))


def test_a_histogram_has_each_value_in_one_bucket() -> None:
    counted = Counted()
    for seconds in (0.5, 1, 2, 3, 100):
        counted.seconds.labels("report").observe(seconds)
    counted.seconds.labels("other").observe(7)
    other, report = sorted(points(counted.read()["bridge.run.duration"]), key=lambda each: str(each.attributes))
    assert (report.attributes, report.count, report.sum) == ({"bridge.automation": "report"}, 5, 106.5)
    assert (list(report.explicit_bounds), list(report.bucket_counts)) == ([1, 5, 15], [2, 2, 0, 1])
    assert list(other.bucket_counts) == [0, 0, 1, 0]


def test_what_goes_up_and_down_is_no_monotonic_sum_and_a_time_is_a_gauge() -> None:
    counted = Counted()
    counted.calls.labels("reports").inc(2)
    counted.success.labels("report").set(1_800_000_000.5)
    found = counted.read()
    active, success = found["bridge.calls.active"], found["bridge.canary.last_success"]
    assert (getattr(active.data, "is_monotonic", None), points(active)[0].value) == (False, 2)
    assert (temporality(success), points(success)[0].value) == (None, 1_800_000_000.5)


def test_without_a_value_there_is_no_metric_and_without_another_name_neither() -> None:
    counted = Counted()
    Counter("somebody_else_s_total", "Of another.", registry=counted.registry).inc()
    assert counted.read() == {}


def test_totals_are_sent_again_with_the_same_start() -> None:
    counted = Counted()
    counted.runs.labels("report", "Failed").inc()
    first = points(counted.read()["bridge.runs.ended"])[0]
    counted.readings.taken()
    counted.runs.labels("report", "Failed").inc()
    found = counted.read()["bridge.runs.ended"]
    (second,) = points(found)
    assert (first.value, second.value) == (1, 2)
    assert first.start_time_unix_nano == second.start_time_unix_nano
    assert temporality(found) is AggregationTemporality.CUMULATIVE


def test_with_deltas_only_what_came_since_the_last_that_was_taken_is_sent() -> None:
    counted = Counted(delta=True)
    counted.runs.labels("report", "Failed").inc(2)
    counted.seconds.labels("report").observe(0.5)
    counted.calls.labels("reports").inc(4)
    first = counted.read()
    counted.readings.taken()
    counted.runs.labels("report", "Failed").inc()
    counted.seconds.labels("report").observe(3)
    counted.calls.labels("reports").dec()
    second = counted.read()
    assert [points(each["bridge.runs.ended"])[0].value for each in (first, second)] == [2, 1]
    (lasted,) = points(second["bridge.run.duration"])
    assert (lasted.count, lasted.sum, list(lasted.bucket_counts)) == (1, 3, [0, 1, 0, 0])
    (begun,) = points(first["bridge.runs.ended"])
    assert lasted.start_time_unix_nano == begun.time_unix_nano
    assert temporality(second["bridge.run.duration"]) is temporality(second["bridge.runs.ended"]) is AggregationTemporality.DELTA
    active = second["bridge.calls.active"]
    assert (points(active)[0].value, temporality(active)) == (3, AggregationTemporality.CUMULATIVE)


def test_a_delta_that_the_collector_did_not_take_is_in_the_next_one() -> None:
    counted = Counted(delta=True)
    counted.runs.labels("report", "Failed").inc(2)
    lost = points(counted.read()["bridge.runs.ended"])[0]
    counted.runs.labels("report", "Failed").inc()
    found = points(counted.read()["bridge.runs.ended"])[0]
    assert (lost.value, found.value) == (2, 3)
    assert lost.start_time_unix_nano == found.start_time_unix_nano


def test_a_clock_that_is_set_back_does_not_turn_times_around(monkeypatch) -> None:
    counted = Counted()
    counted.runs.labels("report", "Failed").inc()
    monkeypatch.setattr("bridge.adapters.otelmetrics.time.time_ns", lambda: 5)
    (found,) = points(counted.read()["bridge.runs.ended"])
    assert found.start_time_unix_nano < found.time_unix_nano


def test_a_status_is_a_number() -> None:
    meters = Meters("embedded")
    meters.served("GET", "http", "", 404, 0.1)
    (found,) = Readings([meters.registry]).read()
    assert points(found)[0].attributes == {"http.request.method": "GET", "http.response.status_code": 404, "url.scheme": "http"}
