from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy import helm
from tests.kubernetes import cluster as clusters
from tests.kubernetes.cluster import APART, SYSTEM, Cluster
from tests.sharedtools import CHECKOUT
from tools.helm.definitions import DAPR, KEDA, PROMETHEUS

#: Only `make kubernetes` runs them: it gives them a network of their own.
collect_ignore_glob = [] if os.environ.get(APART) else ["test_*.py"]
OPERATIONS = CHECKOUT / "docs" / "operations.md"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands of docs/operations.md make."""
    folder = tmp_path_factory.mktemp("certificates")
    (commands,) = (
        each for each in re.findall(r"^```sh\n(.*?)^```", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL) if "mkdir -m 700" in each
    )
    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, check=True, timeout=60, capture_output=True)
    return folder / "dapr-certificates"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Cluster]:
    """A cluster with Dapr as docs/operations.md installs it, and the definitions of KEDA and Prometheus' operator."""
    with clusters.running(tmp_path_factory.mktemp("cluster")) as made:
        for name, labels in ((SYSTEM, {}), ("bridge", {"dapr-injection": "enabled"}), ("elsewhere", {})):
            made.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        for module in (KEDA, PROMETHEUS):
            for path in helm.folder(module).glob("*.yaml"):
                for each in yaml.load_all(path.read_text(), _Loader):
                    made.api.apply(each)
        _trust_bundle(made, certificates)
        made.helm("install", "dapr", helm.folder(DAPR), "-n", SYSTEM, "-f", CHECKOUT / "deploy" / "dapr" / "values.yaml")
        yield made


@pytest.fixture(scope="session")
def sentry(cluster: Cluster) -> Iterator[None]:
    with clusters.sentry(cluster):
        yield


class _Loader(yaml.SafeLoader):
    """Takes `=` for a text, as YAML 1.2 and the definitions do."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def _trust_bundle(made: Cluster, certificates: Path) -> None:
    """Secret and ConfigMap as the commands of the page make them."""
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    annotations = {"meta.helm.sh/release-name": "dapr", "meta.helm.sh/release-namespace": SYSTEM}
    named = {"name": "dapr-trust-bundle", "labels": labels, "annotations": annotations}
    texts = {name: (certificates / name).read_text() for name in ("ca.crt", "issuer.crt", "issuer.key")}
    made.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": texts}, SYSTEM)
    made.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"ca.crt": texts["ca.crt"]}}, SYSTEM)
