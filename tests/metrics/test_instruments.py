"""The names of metrics: that none of Prometheus' is left out, and that the page has them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge import certificates, telemetry
from bridge.metrics import OWN, Instrument, Kind
from bridge.metrics.meters import CONVENTIONAL, Meters

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
ALL = [*CONVENTIONAL.values(), *OWN.values()]
#: What the conventions of HTTP and messaging say of each (semantic conventions 1.44).
REQUIRED = {
    "http.server.request.duration": ("s", {"http.request.method", "url.scheme"}),
    "http.client.request.duration": ("s", {"http.request.method"}),
    "messaging.client.sent.messages": ("{message}", {"messaging.system", "messaging.operation.name"}),
    "messaging.client.operation.duration": ("s", {"messaging.system", "messaging.operation.name"}),
    "messaging.client.consumed.messages": ("{message}", {"messaging.system", "messaging.operation.name"}),
    "messaging.process.duration": ("s", {"messaging.system", "messaging.operation.name"}),
}


def test_every_metric_of_prometheus_has_another_name_and_keeps_its_labels() -> None:
    assert certificates.EXPIRY  # registers itself
    families = {each.name: each for each in telemetry.REGISTRY.collect()}
    assert set(families) == set(OWN)
    labels = {each._name: set(each._labelnames) for each in vars(telemetry).values() if hasattr(each, "_labelnames")}
    assert {name: set(OWN[name].attributes) for name in labels} == labels


def test_what_both_count_is_of_one_kind() -> None:
    kinds = {"counter": {Kind.COUNTER}, "gauge": {Kind.GAUGE, Kind.UP_DOWN_COUNTER}, "histogram": {Kind.HISTOGRAM}}
    for registry, instruments in ((telemetry.REGISTRY, OWN), (Meters("embedded").registry, CONVENTIONAL)):
        families = list(registry.collect())
        assert families
        assert all(instruments[each.name].kind in kinds[each.type] for each in families)


def test_names_units_and_attributes_are_those_of_the_conventions() -> None:
    assert {each.name: each.unit for each in CONVENTIONAL.values()} == {name: unit for name, (unit, _) in REQUIRED.items()}
    assert all(REQUIRED[each.name][1] <= set(each.attributes.values()) for each in CONVENTIONAL.values())


@pytest.mark.parametrize("instrument", ALL, ids=lambda each: each.name)
def test_the_page_has_each_metric_with_its_unit_and_attributes(instrument: Instrument) -> None:
    (row,) = re.findall(rf"^\| `{re.escape(instrument.name)}` \|.*$", PAGE, re.MULTILINE)
    _, _, kind, unit, attributes, _ = (each.strip() for each in row.split("|", 5))
    assert (kind, unit) == (str(instrument.kind), f"`{instrument.unit}`")
    assert set(re.findall(r"`([a-z_.]+)`", attributes)) == set(instrument.attributes.values())
