"""The dashboard, asked by Prometheus' own engine about what a bridge exports."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge import certificates, telemetry
from tests.deploy import helm
from tests.sharedtools import CHECKOUT
from tools.goprograms import NotThere
from tools.helm.binaries import PROMQL

DASHBOARD = json.loads((CHECKOUT / "deploy" / "dashboards" / "automation-bridge.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel.get("targets", ())]
HOUR = 60  #: samples, one a minute
NOW = 3600  #: seconds
#: What Grafana puts in place of its variables when everything is chosen.
CHOSEN = {"$namespace": ".*", "$automation": ".*", "$__rate_interval": "5m"}


@pytest.fixture(scope="module")
def exported() -> list[str]:
    """The series of a bridge that has done everything there is, each over an hour, as `series values`."""
    for step in telemetry.SENTENCES:
        telemetry.step(step, automation="seen", level="debug", run="r-1")
    for status in ("Succeeded", "Failed"):
        telemetry.ended("seen", status, 1.5, "r-1", submitter=telemetry.CANARY)
    telemetry.DEAD_LETTERS.labels("GaveUp").inc()
    with telemetry.under_way("seen-app"):
        certificates.EXPIRY.labels("tls://127.0.0.1:50002", "CN=root").set(NOW + 86400)
        return list(_series(generate_latest(telemetry.REGISTRY).decode()))


def _series(exposition: str) -> Iterator[str]:
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ", ".join(f'{name}="{value}"' for name, value in {**sample.labels, "namespace": "bridge", "pod": "one"}.items())
            values = f"{sample.value}x{HOUR}" if family.type == "gauge" else f"0+{max(sample.value, 1)}x{HOUR}"
            yield f"{sample.name}{{{labels}}} {values}"


def written(expression: str) -> str:
    for name, value in CHOSEN.items():
        expression = expression.replace(name, value)
    return expression


def answers(load: list[str]) -> list[list[dict[str, Any]]]:
    try:
        program = PROMQL.find()
    except NotThere as reason:
        program = helm.missing(str(reason))
    queries = [{"expr": written(target["expr"]), "at": NOW} for _, target in QUERIES]
    work = {"load": "load 1m\n" + "".join(f"  {each}\n" for each in load), "queries": queries}
    done = subprocess.run([program], input=json.dumps(work), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def test_every_panel_shows_something_of_a_bridge_that_has_done_everything(exported: list[str]) -> None:
    empty = [title for (title, _), found in zip(QUERIES, answers(exported), strict=True) if not found]
    assert empty == []


def test_what_a_legend_names_is_a_label_of_what_is_shown(exported: list[str]) -> None:
    for (title, target), found in zip(QUERIES, answers(exported), strict=True):
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert all(named <= each["labels"].keys() for each in found), title


def test_every_metric_and_step_is_one_that_a_bridge_has(exported: list[str]) -> None:
    names = {each.partition("{")[0] for each in exported}
    asked = " ".join(target["expr"] for _, target in QUERIES) + " ".join(each.get("definition", "") for each in variables())
    assert set(re.findall(r"\bbridge_\w+", asked)) <= names
    steps = {step for each in re.findall(r'step=~?"([^"]+)"', asked) for step in each.split("|")}
    assert steps
    assert steps <= telemetry.SENTENCES.keys()


def test_every_variable_that_a_query_names_is_one_of_the_dashboard() -> None:
    known = {each["name"] for each in variables()} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS))) <= known


def test_panels_have_ids_of_their_own_and_do_not_cover_each_other() -> None:
    assert len({each["id"] for each in PANELS}) == len(PANELS)
    taken = list(itertools.chain.from_iterable(_cells(each["gridPos"]) for each in PANELS))
    assert len(set(taken)) == len(taken)
    assert all(column < 24 for column, _ in taken)
    assert all(each["description"] for each in PANELS if each["type"] != "row")


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    return itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))


def variables() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DASHBOARD["templating"]["list"]
    return found


def test_the_chart_hands_it_to_grafana() -> None:
    rendered = helm.documents(helm.NEEDED, helm.EVERYTHING)
    made = helm.only(rendered, "ConfigMap", f"{helm.RELEASE}-dashboard")
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(made["data"]["automation-bridge.json"]) == DASHBOARD
