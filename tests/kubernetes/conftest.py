from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy import helm
from tests.kubernetes import cluster as clusters
from tests.kubernetes.cluster import APART, Cluster
from tests.kubernetes.runbook import OPERATIONS, commands, run
from tests.sharedtools import CHECKOUT
from tools.helm.definitions import KEDA, PROMETHEUS

#: Only `make kubernetes` runs them: it gives them a network of their own.
collect_ignore_glob = [] if os.environ.get(APART) else ["test_*.py"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands of docs/operations.md make."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(OPERATIONS, "mkdir -m 700")], cwd=folder, check=True, timeout=60, capture_output=True
    )
    return folder / "dapr-certificates"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Cluster]:
    """A cluster with Dapr as docs/operations.md installs it, and the definitions of KEDA and Prometheus' operator."""
    with clusters.running(tmp_path_factory.mktemp("cluster")) as made:
        made.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
        for module in (KEDA, PROMETHEUS):
            for path in helm.folder(module).glob("*.yaml"):
                for each in yaml.load_all(path.read_text(), _Loader):
                    made.api.apply(each)
        (certificates / "deploy").symlink_to(CHECKOUT / "deploy")
        run(made, commands(OPERATIONS, "helm install dapr"), certificates)
        run(made, commands(OPERATIONS, "kubectl create namespace bridge"), certificates)
        yield made


@pytest.fixture(scope="session")
def sentry(cluster: Cluster) -> Iterator[None]:
    with clusters.sentry(cluster):
        yield


class _Loader(yaml.SafeLoader):
    """Takes `=` for a text, as YAML 1.2 and the definitions do."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))
