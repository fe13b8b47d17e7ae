"""What becomes of pods while the injector is away."""

from __future__ import annotations

import pytest

from tests.kubernetes import cluster as clusters
from tests.kubernetes.cluster import Cluster, RefusedByServer
from tests.kubernetes.pods import pod


def test_while_the_injector_is_away_no_pod_starts_without_its_sidecar(cluster: Cluster, sentry: None) -> None:
    with clusters.injector(cluster):
        cluster.api.apply(pod("here"), "bridge")
    with pytest.raises(RefusedByServer, match="failed calling webhook"):
        cluster.api.apply(pod("away"), "bridge")
    cluster.api.apply(pod("without"), "elsewhere")
