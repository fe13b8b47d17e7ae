"""The dashboard, asked by Prometheus' own engine about what a bridge exports."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge import certificates, telemetry
from bridge.run import Status
from tests.deploy import freshbridge, helm
from tests.deploy.test_alerts import ALERTS
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
    telemetry.UNFINISHED_CALLS.change(+1, "seen-app")
    certificates.EXPIRY.labels("tls://127.0.0.1:50002", "CN=root").set(NOW + 86400)
    found = list(_series(generate_latest(telemetry.REGISTRY).decode()))
    telemetry.UNFINISHED_CALLS.change(-1, "seen-app")
    # Tests before this one in the same process may have had runs of automations that nobody knows, which have no name in the metrics.
    return [each for each in found if 'automation=""' not in each or each.startswith("bridge_steps_total")]


def _series(exposition: str) -> Iterator[str]:
    for name, kind, labels, value in _samples(exposition):
        values = f"{value}x{HOUR}" if kind == "gauge" else f"0+{max(value, 1)}x{HOUR}"
        yield f"{name}{{{labels}}} {values}"


def _samples(exposition: str) -> Iterator[tuple[str, str, str, float]]:
    """Name, type, labels and value of every sample, with the labels that a scrape on a cluster adds."""
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ", ".join(f'{name}="{value}"' for name, value in {**sample.labels, "namespace": "bridge", "pod": "one"}.items())
            yield sample.name, family.type, labels, sample.value


@pytest.fixture(scope="module")
def first_failure(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The series of a bridge that had its first dead letter and its first failed run three minutes ago, as `series values`."""
    command = [sys.executable, "-m", freshbridge.__name__, str(tmp_path_factory.mktemp("fresh"))]
    printed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60).stdout
    started, failed = ({(name, labels): value for name, _, labels, value in _samples(each)} for each in json.loads(printed))
    before = {each: f"{started[each]}x{HOUR - 4}" if each in started else f"_x{HOUR - 3}" for each in failed}
    return [f"{name}{{{labels}}} {before[name, labels]} {value}x3" for (name, labels), value in failed.items()]


def written(expression: str) -> str:
    for name, value in CHOSEN.items():
        expression = expression.replace(name, value)
    return expression


def answers(load: list[str], asked: Sequence[tuple[str, dict[str, Any]]] = QUERIES) -> list[list[dict[str, Any]]]:
    try:
        program = PROMQL.find()
    except NotThere as reason:
        program = helm.missing(str(reason))
    queries = [{"expr": written(target["expr"]), "at": NOW} for _, target in asked]
    work = {"load": "load 1m\n" + "".join(f"  {each}\n" for each in load), "queries": queries}
    done = subprocess.run([program], input=json.dumps(work), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def test_every_panel_shows_something_of_a_bridge_that_has_done_everything(exported: list[str]) -> None:
    empty = [title for (title, _), found in zip(QUERIES, answers(exported), strict=True) if not found]
    assert empty == []


def test_the_first_dead_letter_and_the_first_failed_run_after_a_start_are_seen(first_failure: list[str]) -> None:
    failed = {"automation": freshbridge.AUTOMATION, "status": "Failed"}
    expected: dict[str, dict[str, str]] = {
        "Dead letters, last hour": {},
        "Dead letters, by reason": {"reason": "GaveUp"},
        "Runs that did not succeed": failed,
    }
    asked = [(title, target) for title, target in QUERIES if title in expected]
    shown = {title: found for (title, _), found in zip(asked, answers(first_failure, asked), strict=True)}
    assert shown == {title: [{"labels": labels, "value": 1}] for title, labels in expected.items()}


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


def test_every_reason_and_every_final_status_has_a_colour_of_its_own() -> None:
    named = {
        panel["title"]: [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]] for panel in PANELS if "targets" in panel
    }
    final = [each.value for each in Status if each.final]
    assert set(named["Dead letters, by reason"]) == set(telemetry.REASONS)
    assert set(named["Accepted and ended"]) == {"accepted", *final}
    assert set(named["Runs that did not succeed"]) == {f"/ {each}$/" for each in final if each != Status.SUCCEEDED}
    assert set(named["Runs of the canary"]) == {"95 %, last hour", *(f"{each}, last hour" for each in final)}


def test_the_lines_between_well_and_not_are_those_of_the_alerts() -> None:
    limits = {
        panel["title"]: [each["value"] for each in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        for panel in PANELS
        if "thresholds" in panel.get("fieldConfig", {}).get("defaults", {})
    }
    assert f"> {limits['Since the canary last succeeded'][-1]}" in ALERTS["BridgeCanaryFails"]["expr"]
    weeks = [f"< {days} * 86400" for days in limits["Days that certificates are still good for"][1:]]
    assert [each in ALERTS[f"DaprCertificateEndsIn{days}Days"]["expr"] for each, days in zip(weeks, (7, 30), strict=True)] == [True, True]


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
