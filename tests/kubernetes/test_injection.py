"""The real injector, and what it makes of the pod of the chart; the real sentry, and what it does with certificates of our own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.helm import NEEDED, RELEASE, Json
from tests.kubernetes import cluster as clusters
from tests.kubernetes.cluster import SYSTEM, Cluster
from tests.kubernetes.pods import pod

SIDECAR = "daprd"


@pytest.fixture(scope="module")
def injector(cluster: Cluster, sentry: None) -> Iterator[None]:
    with clusters.injector(cluster):
        yield


@pytest.fixture(scope="module")
def patched(cluster: Cluster, injector: None) -> Json:
    return cluster.api.apply(pod("patched"), "bridge")


@pytest.fixture(scope="module")
def sidecar(patched: Json) -> Json:
    (found,) = patched["spec"]["initContainers"]
    return dict(found)


def flags(container: Json) -> dict[str, str]:
    """The flags of a sidecar; those without a value are true."""
    words = container["args"][1:]
    found = {}
    for at, word in enumerate(words):
        if word.startswith("--"):
            after = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("--") else "true"
            found[word.removeprefix("--").partition("=")[0]] = word.partition("=")[2] or after
    return found


def environ(container: Json) -> dict[str, str]:
    """The variables of a container, and for those of a Secret its name."""
    return {
        each["name"]: each.get("value") or each.get("valueFrom", {}).get("secretKeyRef", {}).get("name", "") for each in container["env"]
    }


def test_sentry_keeps_the_certificates_that_the_page_makes(cluster: Cluster, sentry: None, certificates: Path) -> None:
    """It would make its own if Helm had emptied the Secret, or if it could not read what the commands make."""
    kept = {name: base64.b64decode(text).decode() for name, text in cluster.api.get("Secret", "dapr-trust-bundle", SYSTEM)["data"].items()}
    assert kept == {name: (certificates / name).read_text() for name in ("ca.crt", "issuer.crt", "issuer.key")}
    assert cluster.api.get("ConfigMap", "dapr-trust-bundle", SYSTEM)["data"] == {"ca.crt": kept["ca.crt"]}


def test_the_pod_gets_a_sidecar_that_starts_before_the_bridge_and_ends_after_it(sidecar: Json) -> None:
    assert (sidecar["name"], sidecar["restartPolicy"]) == (SIDECAR, "Always")


def test_the_sidecar_has_the_flags_that_the_pages_ask_for(sidecar: Json) -> None:
    """components/README.md, docs/running.md and docs/dapr-security.md say why."""
    wanted = {
        "app-id": RELEASE,
        "app-port": "8081",
        "app-protocol": "grpc",
        "max-body-size": "16Mi",
        "config": f"{RELEASE}-bridge",
        "dapr-listen-addresses": "[::1],127.0.0.1",
        "enable-mtls": "true",
        "disable-builtin-k8s-secret-store": "true",
        "mode": "kubernetes",
    }
    assert flags(sidecar).items() >= wanted.items()
    assert not flags(sidecar).keys() & {"enable-app-health-check", "app-max-concurrency"}


def test_it_knows_the_tokens_the_namespace_and_the_store(sidecar: Json) -> None:
    known = environ(sidecar)
    wanted = NEEDED["sidecarEnvironment"] | {
        "APP_API_TOKEN": f"{RELEASE}-app-token",
        "DAPR_API_TOKEN": f"{RELEASE}-dapr-token",
        "GOGC": "400",
    }
    assert known.items() >= wanted.items()
    assert known["DAPR_TRUST_ANCHORS"].startswith("-----BEGIN CERTIFICATE-----")


def test_it_has_requests_a_limit_and_no_privileges(sidecar: Json) -> None:
    assert sidecar["resources"] == {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}}
    security = sidecar["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"], security["runAsNonRoot"]) == (False, True, True)


def test_the_bridge_learns_where_the_sidecar_is_and_nothing_else(patched: Json) -> None:
    (bridge,) = patched["spec"]["containers"]
    given = {each["name"] for each in pod("x")["spec"]["containers"][0]["env"]}
    assert environ(bridge)["DAPR_HTTP_PORT"] == "3500"
    assert environ(bridge).keys() - given == {"DAPR_HTTP_PORT", "DAPR_GRPC_PORT", "APP_PROTOCOL"}, "docs/running.md: there is no APP_PORT"


def test_without_native_sidecars_it_stands_beside_the_bridge_and_waits_for_it_at_the_end(cluster: Cluster, injector: None) -> None:
    made = cluster.api.apply(pod("beside", sidecar={"native": False}), "bridge")
    found = next(each for each in made["spec"]["containers"] if each["name"] == SIDECAR)
    assert flags(found)["dapr-block-shutdown-duration"] == "15s"


def test_in_a_namespace_without_the_label_there_is_no_sidecar(cluster: Cluster, injector: None) -> None:
    made = cluster.api.apply(pod("unlabelled"), "elsewhere")
    assert [each["name"] for each in made["spec"]["containers"]] == ["bridge"]
    assert "initContainers" not in made["spec"]
