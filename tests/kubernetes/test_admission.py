"""What the real API server takes, in a dry run with strict validation."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.dapr.resources import FILES, read
from tests.deploy import helm
from tests.deploy.helm import EVERYTHING, NEEDED, ON_COSMOSDB, Json
from tests.kubernetes.cluster import Cluster, RefusedByServer
from tests.sharedtools import CHECKOUT
from tools.helm.definitions import DAPR

WAYS: dict[str, tuple[Json, ...]] = {"as it ships": (NEEDED,), "with everything": (NEEDED, EVERYTHING), "on Cosmos DB": (ON_COSMOSDB,)}


@pytest.mark.parametrize("way", WAYS)
def test_the_chart_of_the_bridge_is_taken(cluster: Cluster, way: str) -> None:
    for each in helm.documents(*WAYS[way]):
        cluster.api.apply(each, "bridge", dry=True)


def test_so_is_every_component_set(cluster: Cluster) -> None:
    for each in (each for path in FILES for each in read(path)):
        cluster.api.apply(each, dry=True)


def test_so_is_the_chart_of_dapr_with_our_values(cluster: Cluster) -> None:
    values = CHECKOUT / "deploy" / "dapr" / "values.yaml"
    for each in helm.documents(values, chart=helm.folder(DAPR), release="dapr", namespace="dapr-system"):
        cluster.api.apply(each, "dapr-system", dry=True)


def test_a_field_that_nobody_knows_is_refused_by_its_name(cluster: Cluster) -> None:
    deployment = copy.deepcopy(helm.only(helm.documents(NEEDED), "Deployment"))
    deployment["spec"]["replcas"] = 2
    with pytest.raises(RefusedByServer, match="replcas"):
        cluster.api.apply(deployment, "bridge", dry=True)


def test_helm_upgrades_the_bridge_and_takes_nothing_of_another_release(cluster: Cluster, tmp_path: Path) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps(NEEDED))
    install = ("-n", "elsewhere", "-f", values)
    assert "deployed" in cluster.helm("install", "one", helm.CHART, *install)
    assert "deployed" in cluster.helm("upgrade", "one", helm.CHART, *install, "--set", "autoscaling.by=none")
    with pytest.raises(RefusedByServer, match=r"python-functions.*exists and cannot be imported"):
        cluster.helm("install", "two", helm.CHART, *install)
    cluster.helm("uninstall", "one", "-n", "elsewhere")
