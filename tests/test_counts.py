"""Our own counters and gauges show what Prometheus' own would show."""

from __future__ import annotations

import re

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, disable_created_metrics, enable_created_metrics, generate_latest

from bridge.counts import LabelledCounter, LabelledGauge

LABELS = ["step", "automation"]


def page(registry: CollectorRegistry) -> list[str]:
    """What Prometheus reads, without the moments at which the counters were made."""
    return [re.sub(r"(_created\{.*\}) .*", r"\1", line) for line in generate_latest(registry).decode().splitlines()]


def counted_by_us() -> CollectorRegistry:
    registry = CollectorRegistry()
    steps = LabelledCounter("bridge_steps_total", "Steps taken.", LABELS, registry)
    steps.show("retry", "")
    for _ in range(3):
        steps.add("run.accepted", "report")
    steps.show("run.accepted", "report")
    calls = LabelledGauge("bridge_calls", "Calls.", ["app"], registry)
    for by in (+1, +1, -1):
        calls.change(by, "reports")
    calls.change(+1, 'a "quoted" app')
    return registry


def counted_by_prometheus() -> CollectorRegistry:
    registry = CollectorRegistry()
    steps = prometheus_client.Counter("bridge_steps_total", "Steps taken.", LABELS, registry=registry)
    steps.labels("retry", "")
    steps.labels("run.accepted", "report").inc(3)
    calls = prometheus_client.Gauge("bridge_calls", "Calls.", ["app"], registry=registry)
    calls.labels("reports").set(1)
    calls.labels('a "quoted" app').set(1)
    return registry


def test_prometheus_reads_the_same_as_from_its_own() -> None:
    shown = page(counted_by_us())
    assert shown == page(counted_by_prometheus())
    assert 'bridge_steps_total{automation="report",step="run.accepted"} 3.0' in shown
    assert 'bridge_steps_created{automation="",step="retry"}' in shown


@pytest.fixture
def without_created():
    disable_created_metrics()
    yield
    enable_created_metrics()


@pytest.mark.usefixtures("without_created")
def test_when_a_counter_was_made_is_left_out_where_prometheus_is_told_to() -> None:
    assert page(counted_by_us()) == page(counted_by_prometheus())
    assert not [line for line in page(counted_by_us()) if "_created" in line]
