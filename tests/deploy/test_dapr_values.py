"""The values for Dapr's official chart, with the chart itself."""

from __future__ import annotations

import pytest
import yaml

from tests.deploy import helm, kinds
from tests.deploy.helm import Json, only
from tests.sharedtools import CHECKOUT
from tools.dapr.binaries import VERSION
from tools.helm.definitions import DAPR

VALUES = CHECKOUT / "deploy" / "dapr" / "values.yaml"
SERVICES = {"dapr-sentry", "dapr-operator", "dapr-sidecar-injector"}


@pytest.fixture(scope="module")
def rendered() -> list[Json]:
    return helm.documents(VALUES, chart=helm.folder(DAPR), release="dapr", namespace="dapr-system")


def test_the_official_chart_takes_them_and_every_field_is_known(rendered: list[Json]) -> None:
    for each in rendered:
        kinds.check(each)


def test_no_value_is_one_that_the_chart_does_not_know() -> None:
    """Helm ignores a misspelt value in silence."""
    chart = helm.folder(DAPR)

    def unknown(given: Json, known: Json, place: str = "") -> list[str]:
        missing = [f"{place}{key}" for key in given if key not in known]
        below = [(key, value) for key, value in given.items() if isinstance(value, dict) and known.get(key)]
        return missing + [each for key, value in below for each in unknown(value, known[key], f"{place}{key}.")]

    values = yaml.safe_load(VALUES.read_text())
    assert unknown({"global": values.pop("global")}, yaml.safe_load((chart / "values.yaml").read_text())) == []
    for part, given in values.items():
        assert unknown(given, yaml.safe_load((chart / "charts" / part / "values.yaml").read_text()), f"{part}.") == []


def test_each_service_has_three_replicas_apart_and_keeps_two(rendered: list[Json]) -> None:
    deployments = {each["metadata"]["name"]: each["spec"] for each in rendered if each["kind"] == "Deployment"}
    assert deployments.keys() == SERVICES
    for spec in deployments.values():
        assert spec["replicas"] == 3
        assert "podAntiAffinity" in spec["template"]["spec"]["affinity"]
    budgets = [each["spec"] for each in rendered if each["kind"] == "PodDisruptionBudget"]
    assert [each["maxUnavailable"] for each in budgets] == [1] * len(SERVICES)


def test_each_service_has_resources_and_the_version_that_was_tested(rendered: list[Json]) -> None:
    for each in rendered:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            assert container["image"].endswith(f":{VERSION}")
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_no_pod_starts_without_the_sidecar_that_it_asks_for(rendered: list[Json]) -> None:
    (webhook,) = only(rendered, "MutatingWebhookConfiguration", "dapr-sidecar-injector")["webhooks"]
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["namespaceSelector"]["matchLabels"], "without it nothing at all could start while the injector is away"


def test_the_root_is_no_value(rendered: list[Json]) -> None:
    """Sentry keeps what it finds in the Secret, and Helm what it does not name."""
    assert "data" not in only(rendered, "Secret", "dapr-trust-bundle")
    assert "data" not in only(rendered, "ConfigMap", "dapr-trust-bundle")


def test_the_bridge_asks_for_no_service_that_is_left_out(rendered: list[Json]) -> None:
    injector = only(rendered, "Deployment", "dapr-sidecar-injector")["spec"]["template"]["spec"]["containers"][0]
    environ = {each["name"]: each.get("value") for each in injector["env"]}
    assert environ["ACTORS_ENABLED"] == "false"
    assert "--scheduler-enabled=false" in injector["args"]
