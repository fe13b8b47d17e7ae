"""Sends what Prometheus' registries hold by OTLP, time and again, in a thread.

The SDK has no interface for metrics that somebody else has counted, so its readers are not used, but its exporter. That one has a time
limit, and one export ends before the next begins: a collector that is away costs no request a moment, and no memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry

from bridge.adapters.otelmetrics import Readings
from bridge.settings.exportingmetrics import MetricsExport

_log = logging.getLogger("bridge")


class PeriodicExport:
    """Exports what the registries hold, time and again, in a thread."""

    def __init__(self, readings: Readings, resource: Resource, scope: str, every: float, exporter: MetricExporter) -> None:
        self._readings, self._resource, self._scope = readings, resource, InstrumentationScope(scope)
        self._every, self._exporter = every, exporter
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin. The first export is after one interval."""
        self._thread.start()

    def finish(self) -> None:
        """Export a last time, and return when that is over."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            self._export()
        self._export()
        self._exporter.shutdown()

    def _export(self) -> None:
        try:
            metrics = self._readings.read()
            scoped = ScopeMetrics(self._scope, metrics, schema_url="")
            data = MetricsData([ResourceMetrics(self._resource, [scoped], schema_url=self._resource.schema_url)])
            if metrics and self._exporter.export(data) is MetricExportResult.SUCCESS:
                self._readings.taken()
        except Exception:  # noqa: BLE001 - a mistake of ours is logged, and must not end the thread
            _log.exception("metrics could not be exported")


def periodic_export(asked: MetricsExport, registries: Iterable[CollectorRegistry], resource: Resource, scope: str) -> PeriodicExport:
    """What exports as the variables of OpenTelemetry say; it is not started yet. Raises what the SDK raises for a variable."""
    exporter = OTLPMetricExporter(timeout=asked.within)
    return PeriodicExport(Readings(list(registries), delta=asked.delta), resource, scope, asked.every, exporter)
