"""The runbooks of docs/operations.md and docs/deploying.md, command by command."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.helm import NEEDED, RELEASE, Json
from tests.kubernetes.cluster import SYSTEM, Cluster
from tests.kubernetes.runbook import DEPLOYING, OPERATIONS, commands, in_a_sentence, run
from tests.sharedtools import CHECKOUT

#: What `az stack group show` prints: the outputs of deploy/azure with their types.
OUTPUTS: Json = {name: NEEDED[name] for name in ("clientId", "sidecarEnvironment", "bridgeEnvironment", "functionHosts")} | {
    "applicationClientIds": [{"name": f"{RELEASE}-canary", "clientId": "22222222-2222-3333-4444-555555555555"}]
}


def issuer(cluster: Cluster) -> str:
    """The issuer's certificate in the cluster."""
    return base64.b64decode(cluster.api.get("Secret", "dapr-trust-bundle", SYSTEM)["data"]["issuer.crt"]).decode()


def restarted(cluster: Cluster, name: str, namespace: str = SYSTEM) -> bool:
    """Whether the pods of a Deployment are to be replaced."""
    template = cluster.api.get("Deployment", name, namespace, "apps/v1")["spec"]["template"]
    return "kubectl.kubernetes.io/restartedAt" in template["metadata"].get("annotations", {})


@pytest.fixture
def folder(tmp_path: Path, certificates: Path) -> Path:
    """The folder of the certificates, as somebody has it who renews one."""
    return shutil.copytree(certificates, tmp_path / "dapr-certificates")


@pytest.fixture
def installed(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """The bridge as step 5 of docs/deploying.md installs it; the folder with the values that it was given."""
    for name in ("deploy", "components", "functions"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    (tmp_path / "image.yaml").write_text(json.dumps({"image": NEEDED["image"]}))
    (tmp_path / "tokens.yaml").write_text(json.dumps({"tokens": NEEDED["tokens"]}))
    outputs = {name: {"type": "Object", "value": value} for name, value in OUTPUTS.items()}
    run(cluster, commands(DEPLOYING, "helm install automation-bridge"), tmp_path, {"az": f"cat <<'END'\n{json.dumps(outputs)}\nEND"})
    yield tmp_path
    run(cluster, f"helm uninstall {RELEASE} -n bridge; kubectl delete -n bridge secrets,jobs --all", tmp_path)


def test_a_new_issuer_is_in_the_cluster_and_sentry_is_restarted(cluster: Cluster, folder: Path) -> None:
    before = issuer(cluster)
    run(cluster, commands(OPERATIONS, "rollout restart deployment/dapr-sentry -n"), folder)
    assert issuer(cluster) == (folder / "issuer.crt").read_text() != before
    assert restarted(cluster, "dapr-sentry")


def test_two_roots_are_in_secret_and_configmap_and_everything_is_restarted(cluster: Cluster, folder: Path, installed: Path) -> None:
    del installed
    both = (folder / "ca.crt").read_text() * 2
    (folder / "ca.crt").write_text(both)
    run(cluster, commands(OPERATIONS, "deployment/dapr-sidecar-injector"), folder)
    secret = cluster.api.get("Secret", "dapr-trust-bundle", SYSTEM)["data"]["ca.crt"]
    assert base64.b64decode(secret).decode() == both == cluster.api.get("ConfigMap", "dapr-trust-bundle", SYSTEM)["data"]["ca.crt"]
    assert all(restarted(cluster, f"dapr-{name}") for name in ("sentry", "operator", "sidecar-injector"))
    assert restarted(cluster, RELEASE, "bridge")


def test_an_upgrade_of_dapr_leaves_the_certificates_alone(cluster: Cluster, tmp_path: Path) -> None:
    before = issuer(cluster)
    (tmp_path / "deploy").symlink_to(CHECKOUT / "deploy")
    upgrade = in_a_sentence(OPERATIONS, "helm upgrade dapr").replace("VERSION", "1.18.1")
    assert "has been upgraded" in run(cluster, upgrade, tmp_path)
    assert issuer(cluster) == before


def test_the_bridge_is_installed_asked_by_its_canary_and_rolled_back(cluster: Cluster, installed: Path) -> None:
    upgrade = commands(DEPLOYING, "helm install automation-bridge").partition("helm install")[2]
    (installed / "canary.yaml").write_text("- automation: table.summarize\n")
    canary = " --set canary.enabled=true --set-file canary.plan=canary.yaml"
    run(cluster, f"helm upgrade{upgrade.rstrip()}{canary}", installed)
    run(cluster, in_a_sentence(OPERATIONS, "kubectl create job after-upgrade"), installed)
    assert cluster.api.get("Job", "after-upgrade", "bridge", "batch/v1")["spec"]["template"]["spec"]["containers"]
    assert "Rollback was a success" in run(
        cluster, in_a_sentence(OPERATIONS, f"helm rollback {RELEASE}").replace("REVISION", "1"), installed
    )
    assert "Rollback to 1" in run(cluster, in_a_sentence(OPERATIONS, f"helm history {RELEASE}"), installed)
