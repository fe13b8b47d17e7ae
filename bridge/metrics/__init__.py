"""Metrics under OpenTelemetry names, for export: those of /metrics, and some that exist only in the export (docs/telemetry.md).

The code that counts does not know OpenTelemetry. The metrics of Prometheus get their second name here, and are read when they are exported,
which costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of a metric (OpenTelemetry metrics API, instruments)."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Instrument:
    """A metric for OpenTelemetry. `unit` is a UCUM unit; `attributes` maps Prometheus' labels to names of attributes.

    An attribute whose label is empty is left out.
    """

    name: str
    kind: Kind
    unit: str
    attributes: Mapping[str, str]


_AUTOMATION, _STATUS = {"automation": "bridge.automation"}, {"status": "bridge.status"}

#: The metrics of `telemetry.REGISTRY`, by their names there (a counter without `_total`). The names follow the conventions for naming
#: metrics (opentelemetry.io/docs/specs/semconv/general/naming): no unit and no `total` in a name, plural only for what is counted.
OWN: Mapping[str, Instrument] = {
    "bridge_steps": Instrument("bridge.steps", Kind.COUNTER, "{step}", {"step": "bridge.step", **_AUTOMATION}),
    "bridge_runs_ended": Instrument("bridge.runs.ended", Kind.COUNTER, "{run}", {**_AUTOMATION, **_STATUS}),
    "bridge_run_seconds": Instrument("bridge.run.duration", Kind.HISTOGRAM, "s", _AUTOMATION),
    "bridge_canary_runs_ended": Instrument("bridge.canary.runs.ended", Kind.COUNTER, "{run}", {**_AUTOMATION, **_STATUS}),
    "bridge_canary_run_seconds": Instrument("bridge.canary.run.duration", Kind.HISTOGRAM, "s", _AUTOMATION),
    "bridge_canary_last_success_timestamp_seconds": Instrument("bridge.canary.last_success", Kind.GAUGE, "s", _AUTOMATION),
    "bridge_calls_under_way": Instrument("bridge.calls.active", Kind.UP_DOWN_COUNTER, "{call}", {"app": "bridge.app"}),
    "bridge_dead_letters": Instrument("bridge.dead_letters", Kind.COUNTER, "{message}", {"reason": "bridge.reason"}),
    "bridge_certificate_expiry_timestamp_seconds": Instrument(
        "bridge.certificate.expiry",
        Kind.GAUGE,
        "s",
        {"source": "bridge.certificate.source", "certificate": "bridge.certificate.name"},
    ),
}
