"""The alert rules, asked by Prometheus' own engine about hours that went well and hours that did not."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from bridge import certificates as certificates  # noqa: PLC0414 - it registers its metric
from bridge import telemetry
from tests.deploy import helm
from tests.sharedtools import CHECKOUT
from tools.goprograms import NotThere
from tools.helm.binaries import PROMQL

GROUPS = yaml.safe_load((CHECKOUT / "deploy" / "alerts" / "prometheus.yaml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PAGE = (CHECKOUT / "docs" / "operations.md").read_text()
HOUR = 60  #: samples, one a minute
NOW = 3600  #: seconds; every scenario lasts an hour
DAY = 86400
#: Of kube-state-metrics and of Dapr's sentry, by their own documentation.
OF_OTHERS = {
    *("kube_pod_container_info", "kube_pod_init_container_info", "kube_pod_status_ready", "kube_cronjob_info"),
    *("kube_job_owner", "kube_job_status_failed", "kube_job_created", "dapr_sentry_issuercert_expiry_timestamp"),
}
POD = 'namespace="bridge", pod="one"'
BRIDGE = f'kube_pod_container_info{{container="bridge", {POD}}} 1x{HOUR}'
CRONJOB = f'kube_cronjob_info{{namespace="bridge", cronjob="automation-bridge-canary"}} 1x{HOUR}'
SUCCESS = 'bridge_canary_last_success_timestamp_seconds{namespace="bridge", automation="echo", pod="%s"}'
DEADLETTERS = 'bridge_dead_letters_total{namespace="bridge", reason="GaveUp"}'
REPEATS = 'bridge_steps_total{namespace="bridge", step="retry"}'


def job(name: str, created: int, *, failed: int = 1) -> list[str]:
    """A Job of the canary."""
    labels = f'namespace="bridge", job_name="{name}"'
    owner = f'kube_job_owner{{{labels}, owner_kind="CronJob", owner_name="automation-bridge-canary"}} 1x{HOUR}'
    return [owner, f"kube_job_created{{{labels}}} {created}x{HOUR}", f"kube_job_status_failed{{{labels}}} {failed}x{HOUR}"]


def issuer(days: float) -> str:
    return f"dapr_sentry_issuercert_expiry_timestamp {NOW + days * DAY:.0f}x{HOUR}"


def root(days: float) -> str:
    labels = 'source="tls://127.0.0.1:50002", certificate="CN=root"'
    return f"bridge_certificate_expiry_timestamp_seconds{{{labels}}} {NOW + days * DAY:.0f}x{HOUR}"


WELL = [
    BRIDGE,
    f'kube_pod_init_container_info{{container="daprd", {POD}}} 1x{HOUR}',
    f'kube_pod_status_ready{{condition="true", {POD}}} 1x{HOUR}',
    *(CRONJOB, f"{SUCCESS % 'one'} 0+60x{HOUR}", f"{SUCCESS % 'replaced'} 0x{HOUR}"),
    *(f"{DEADLETTERS} 3x{HOUR}", f"{REPEATS} 0+1x{HOUR}"),
    *(each for number in range(3) for each in job(f"job-{number}", NOW - 300 * number, failed=0)),
    *(issuer(300), root(3000)),
]


def without(*names: str, instead: tuple[str, ...] = ()) -> list[str]:
    """A good hour without the series whose beginnings are given, and with others instead."""
    return [each for each in WELL if not each.startswith(names)] + list(instead)


TROUBLE: dict[str, tuple[list[str], set[str]]] = {
    "an hour that went well": (WELL, set()),
    "a sidecar beside the bridge is one, too": (
        without("kube_pod_init_container_info", instead=(f'kube_pod_container_info{{container="daprd", {POD}}} 1x{HOUR}',)),
        set(),
    ),
    "a pod without a sidecar": (without("kube_pod_init_container_info"), {"BridgeWithoutSidecar"}),
    "a pod that is not ready": (
        without("kube_pod_status_ready", instead=(f'kube_pod_status_ready{{condition="true", {POD}}} 0x{HOUR}',)),
        {"BridgeNotReady"},
    ),
    "another pod that is not ready": ([*WELL, f'kube_pod_status_ready{{condition="true", namespace="shop", pod="x"}} 0x{HOUR}'], set()),
    "dead letters": (without(DEADLETTERS, instead=(f"{DEADLETTERS} 0x50 1x10",)), {"BridgeDeadLetters"}),
    "a store that refuses": (without(REPEATS, instead=(f"{REPEATS} 0+120x{HOUR}",)), {"BridgeRepeats"}),
    "a canary that succeeded last twelve minutes ago": (
        without("bridge_canary", instead=(f"{SUCCESS % 'one'} {NOW - 720}x{HOUR}",)),
        {"BridgeCanaryFails"},
    ),
    "a canary that succeeded last nine minutes ago": (without("bridge_canary", instead=(f"{SUCCESS % 'one'} {NOW - 540}x{HOUR}",)), set()),
    "a canary whose runs no bridge has seen": (without("bridge_canary"), {"BridgeCanarySilent"}),
    "no canary": (without("bridge_canary", "kube_cronjob", "kube_job"), set()),
    "one job that failed": (without("kube_job", instead=(*job("a", NOW - 60), *job("b", NOW - 360, failed=0))), set()),
    "two jobs that failed": (without("kube_job", instead=(*job("a", NOW - 60), *job("b", NOW - 360))), {"BridgeCanaryJobsFail"}),
    "two jobs that failed long ago": (without("kube_job", instead=(*job("a", 60), *job("b", 360), *job("c", NOW - 60, failed=0))), set()),
    "an issuer that ends in 31 days": (without("dapr_sentry", instead=(issuer(31),)), set()),
    "an issuer that ends in 29 days": (without("dapr_sentry", instead=(issuer(29),)), {"DaprCertificateEndsIn30Days"}),
    "an issuer that ends in 6 days": (without("dapr_sentry", instead=(issuer(6),)), {"DaprCertificateEndsIn7Days"}),
    "an issuer that ends in 20 hours": (without("dapr_sentry", instead=(issuer(0.8),)), {"DaprCertificateEndsIn1Day"}),
    "an issuer that has ended": (without("dapr_sentry", instead=(issuer(-1),)), {"DaprCertificateEndsIn1Day"}),
    "a root that ends before its issuer": (without("bridge_certificate", instead=(root(5),)), {"DaprCertificateEndsIn7Days"}),
    "sentry that is not scraped, and an issuer that the bridge is shown": (
        without("dapr_sentry", "bridge_certificate", instead=(root(0.5),)),
        {"DaprCertificateEndsIn1Day"},
    ),
}


def expression(alert: str) -> str:
    """What an alert asks, with what is recorded written out."""
    text: str = ALERTS[alert]["expr"]
    for name, recorded in RECORDED.items():
        text = text.replace(name, f"({recorded})")
    return text


def asked(load: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What each alert finds at the end of the hour."""
    try:
        program = PROMQL.find()
    except NotThere as reason:
        program = helm.missing(str(reason))
    work = {
        "load": "load 1m\n" + "".join(f"  {each}\n" for each in load),
        "queries": [{"expr": expression(each), "at": NOW} for each in ALERTS],
    }
    done = subprocess.run([program], input=json.dumps(work), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(zip(ALERTS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("what", TROUBLE)
def test_the_alerts_that_find_something_are_those_that_should(what: str) -> None:
    load, wanted = TROUBLE[what]
    assert {alert for alert, found in asked(load).items() if found} == wanted


def test_every_alert_is_raised_by_some_trouble_and_has_an_answer_on_the_page() -> None:
    assert {each for _, alerts in TROUBLE.values() for each in alerts} == set(ALERTS)
    table = PAGE.partition("## Alerts")[2]
    assert {name for name in ALERTS if f"`{name}`" in table} == set(ALERTS)


def test_what_a_summary_names_is_a_label_of_what_was_found() -> None:
    found = {alert: each for load, _ in TROUBLE.values() for alert, every in asked(load).items() for each in every}
    for alert, rule in ALERTS.items():
        named = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert set(named) <= found[alert]["labels"].keys(), alert


def test_every_metric_is_one_that_somebody_has() -> None:
    ours = {name for each in telemetry.REGISTRY.collect() for name in (each.name, f"{each.name}_total")}
    asked_for = {name for rule in RULES for name in re.findall(r"\b(?:bridge|kube|dapr)_\w+", rule["expr"])}
    assert asked_for <= ours | OF_OTHERS


def test_the_chart_has_these_rules() -> None:
    rendered = helm.documents(helm.NEEDED, helm.EVERYTHING)
    assert helm.only(rendered, "PrometheusRule")["spec"]["groups"] == GROUPS
