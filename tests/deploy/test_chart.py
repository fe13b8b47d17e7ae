"""The chart of the bridge: what it renders is known to Kubernetes, Dapr, KEDA and Prometheus, and keeps to its rules."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import settings
from bridge.adapters.dapr.subscriptions import ROUTE
from bridge.cli import app
from bridge.telemetry import CANARY
from tests.deploy import helm, kinds
from tests.deploy.deployment import Deployment
from tests.deploy.helm import EVERYTHING, NEEDED, ON_COSMOSDB, RELEASE, Json, Refused, only
from tests.deploy.kinds import Wrong

WAYS: dict[str, tuple[Json, ...]] = {
    "as it ships": (NEEDED,),
    "with everything": (NEEDED, EVERYTHING),
    "on Cosmos DB": (ON_COSMOSDB,),
    "without a native sidecar": (NEEDED, {"sidecar": {"native": False}, "autoscaling": {"by": "none"}}),
}


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Json]]:
    return {name: helm.documents(*values) for name, values in WAYS.items()}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, rendered: dict[str, list[Json]]) -> list[Json]:
    return rendered[request.param]


@pytest.fixture
def shipped_way(rendered: dict[str, list[Json]]) -> list[Json]:
    return rendered["as it ships"]


@pytest.fixture
def full(rendered: dict[str, list[Json]]) -> list[Json]:
    return rendered["with everything"]


def pods(rendered: list[Json]) -> Iterator[tuple[str, Json]]:
    """The templates of all pods, each with the kind that makes them."""
    for each in rendered:
        if each["kind"] == "Deployment":
            yield each["kind"], each["spec"]["template"]
        if each["kind"] == "CronJob":
            yield each["kind"], each["spec"]["jobTemplate"]["spec"]["template"]


def annotations(rendered: list[Json]) -> dict[str, str]:
    found: dict[str, str] = only(rendered, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    return found


def test_every_field_is_one_that_its_kind_knows(way: list[Json]) -> None:
    for each in way:
        kinds.check(each)


@pytest.mark.parametrize(
    ("kind", "path", "word"),
    [
        ("Deployment", ("spec",), "replcas"),
        ("Component", ("spec",), "metdata"),
        ("Resiliency", ("spec", "policies", "retries", "until-taken"), "maxRetrys"),
        ("Configuration", ("spec", "tracing"), "sampleRate"),
        ("ScaledObject", ("spec",), "minReplicas"),
        ("ServiceMonitor", ("spec",), "endpoint"),
    ],
)
def test_a_field_that_nobody_knows_would_be_noticed(full: list[Json], kind: str, path: tuple[str, ...], word: str) -> None:
    broken = copy.deepcopy(next(each for each in full if each["kind"] == kind))
    place = broken
    for step in path:
        place = place[step]
    place[word] = 1
    with pytest.raises(Wrong, match=word):
        kinds.check(broken)


@pytest.mark.parametrize("name", WAYS)
def test_the_doctor_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    (tmp_path / "rendered.yaml").write_text(helm.render(*WAYS[name]))
    command = [sys.executable, "-m", "bridge", "doctor", str(tmp_path / "rendered.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Nothing was found in 1 file." in done.stderr


def test_no_two_resources_have_kind_and_name_in_common(way: list[Json]) -> None:
    names = Counter((each["kind"], each["metadata"]["name"]) for each in way)
    assert [name for name, count in names.items() if count > 1] == []


def test_two_releases_share_no_resource_but_the_endpoints_that_the_catalogue_names() -> None:
    ours, theirs = ({(e["kind"], e["metadata"]["name"]) for e in helm.documents(NEEDED, release=name)} for name in ("one", "two"))
    assert {kind for kind, _ in ours & theirs} == {"HTTPEndpoint"}


def test_no_pod_has_more_rights_than_its_program_needs(full: list[Json]) -> None:
    assert {kind for kind, _ in pods(full)} == {"Deployment", "CronJob"}
    for _, template in pods(full):
        pod = template["spec"]
        assert pod["securityContext"].items() >= {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}.items()
        assert pod["securityContext"]["runAsUser"] > 10000
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert not [each for each in pod["volumes"] if "hostPath" in each]
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in each["resources"]["limits"]
            assert {"cpu", "memory"} <= each["resources"]["requests"].keys()


def test_nobody_gets_a_right_on_the_cluster(way: list[Json]) -> None:
    assert not [each for each in way if each["kind"].endswith(("Role", "RoleBinding"))]
    assert not any(each["automountServiceAccountToken"] for each in way if each["kind"] == "ServiceAccount")


def test_images_are_named_by_their_digest_and_by_nothing_that_can_be_moved(full: list[Json]) -> None:
    for _, template in pods(full):
        assert {each["image"] for each in template["spec"]["containers"]} == {f"bridge.azurecr.io/automation-bridge@sha256:{'0' * 64}"}


def test_no_secret_stands_in_what_is_rendered(full: list[Json]) -> None:
    assert not [each for each in full if each["kind"] == "Secret"]
    assert "SharedAccessKey" not in json.dumps(full)


def test_the_bridge_takes_its_settings(full: list[Json], tmp_path: Path) -> None:
    data = only(full, "ConfigMap")["data"]
    for name, text in data.items():
        (tmp_path / name).write_text(text.replace("/etc/bridge", str(tmp_path)))
    environ = {each["name"]: each["value"] for each in container(full)["env"] if "value" in each}
    read = settings.load({"config": tmp_path / "bridge.yaml"}, environ, tmp_path)
    assert read.runtime is settings.RuntimeName.DAPR
    assert (read.max_input_bytes, read.max_event_bytes) == (200_000, 256_000)
    assert read.catalogue.exists()
    assert read.entities.exists()
    names = {each["metadata"]["name"]: each["spec"]["type"].partition(".")[0] for each in full if each["kind"] == "Component"}
    assert names[read.dapr_bus] == names[read.dapr_queues] == "pubsub"
    assert names[read.dapr_store] == "state"
    assert annotations(full)["dapr.io/app-port"] == str(read.deliveries_port)


def container(rendered: list[Json]) -> Json:
    (found,) = only(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_settings_of_the_values_win() -> None:
    rendered = helm.documents(NEEDED, {"settings": {"log_format": "console", "retention": "1d"}})
    written = yaml.safe_load(only(rendered, "ConfigMap")["data"]["bridge.yaml"])
    assert (written["log_format"], written["retention"], written["runtime"]) == ("console", "1d", "dapr")


def test_a_change_of_the_files_is_a_rollout(shipped_way: list[Json]) -> None:
    changed = helm.documents(NEEDED, {"catalogue": "name: other"})
    assert annotations(changed)["checksum/config"] != annotations(shipped_way)["checksum/config"]


def test_a_pod_is_ready_when_the_bridge_says_so_and_lives_while_its_sidecar_is_away(way: list[Json]) -> None:
    bridge = container(way)
    assert bridge["readinessProbe"]["httpGet"]["path"] == "/healthz/ready"
    assert bridge["livenessProbe"]["httpGet"]["path"] == bridge["startupProbe"]["httpGet"]["path"] == "/healthz/live"


def test_two_replicas_or_more_stand_apart_and_one_at_most_is_evicted(way: list[Json]) -> None:
    spread = only(way, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    budget = only(way, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    labels = only(way, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for selector in (budget["selector"], *(each["labelSelector"] for each in spread)):
        assert selector["matchLabels"].items() <= labels.items()


def test_what_selects_the_bridge_does_not_select_its_canary(full: list[Json]) -> None:
    own = only(full, "Deployment")["spec"]["selector"]["matchLabels"]
    canary = dict(pods(full))["CronJob"]["metadata"]["labels"]
    assert not own.items() <= canary.items()


def test_there_is_time_for_what_is_under_way_when_a_pod_ends(way: list[Json]) -> None:
    pod = only(way, "Deployment")["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = settings.Settings().drain.total_seconds()
    blocked = int(annotations(way)["dapr.io/block-shutdown-duration"].removesuffix("s"))
    native = annotations(way)["dapr.io/enable-native-sidecar"] == "true"
    assert native or blocked >= pause + drain
    assert pod["terminationGracePeriodSeconds"] > pause + drain + blocked


@pytest.mark.parametrize(("by", "kind"), [("cpu", "HorizontalPodAutoscaler"), ("queue", "ScaledObject"), ("none", None)])
def test_one_thing_at_most_scales_the_bridge(by: str, kind: str | None) -> None:
    rendered = helm.documents(NEEDED, EVERYTHING, {"autoscaling": {"by": by}})
    found = [each["kind"] for each in rendered if each["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
    assert found == ([kind] if kind else [])
    # A number of replicas beside it would undo its work at every upgrade.
    assert ("replicas" in only(rendered, "Deployment")["spec"]) == (kind is None)


def test_from_two_to_ten_replicas_by_the_cpu_that_all_containers_request(shipped_way: list[Json]) -> None:
    spec = only(shipped_way, "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    assert "cpu" in container(shipped_way)["resources"]["requests"]
    assert annotations(shipped_way)["dapr.io/sidecar-cpu-request"]


@pytest.mark.parametrize("missing", ["cpuRequest", "memoryLimit"])
def test_a_sidecar_without_a_request_or_a_limit_is_refused(missing: str) -> None:
    with pytest.raises(Refused, match=missing):
        helm.render(NEEDED, {"sidecar": {missing: None}})


def test_keda_counts_every_subscription_that_the_bridge_reads(full: list[Json]) -> None:
    triggers = [each["metadata"] for each in only(full, "ScaledObject")["spec"]["triggers"]]
    read = [
        each["spec"]
        for each in full
        if each["kind"] == "Subscription" and each["spec"]["pubsubname"] == f"{RELEASE}-bus" and "canary" not in each["spec"]["topic"]
    ]
    (consumer,) = (
        value["value"] for value in only(full, "Component", f"{RELEASE}-bus")["spec"]["metadata"] if value["name"] == "consumerID"
    )
    assert {(each["topicName"], each["subscriptionName"]) for each in triggers} == {(each["topic"], consumer) for each in read}
    assert {each["namespace"] for each in triggers} == {"bridge-abc"}


def test_the_network_lets_in_callers_and_whoever_reads_metrics_and_nobody_else(full: list[Json]) -> None:
    policy = only(full, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == {8080, 9090}
    assert all(rule["from"] for rule in policy["ingress"]), "an empty list would let in everybody"
    outside = next(rule for rule in policy["egress"] if "ipBlock" in rule["to"][0])
    assert "169.254.169.254/32" in outside["to"][0]["ipBlock"]["except"], "the machine's own identity"
    assert {port["port"] for port in outside["ports"]} == {443, 5671, 10000}


def test_spans_and_metrics_may_leave_to_the_collector_of_the_sidecar_and_of_the_bridge() -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector.observability:4318", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
    rendered = helm.documents(NEEDED, {"bridgeEnvironment": asked})
    (bridge,) = only(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert asked.items() <= {each["name"]: each.get("value") for each in bridge["env"]}.items()
    collector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}
    (rule,) = (each for each in only(rendered, "NetworkPolicy")["spec"]["egress"] if each["to"] == [collector])
    assert {each["port"] for each in rule["ports"]} == {4317, 4318}


def test_the_key_of_the_collector_comes_from_a_secret_and_is_asked_for_only_then(shipped_way: list[Json]) -> None:
    rendered = helm.documents(NEEDED, {"tracesHeadersSecret": "collector-key"})
    (bridge,) = only(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    (headers,) = [each for each in bridge["env"] if each["name"] == "OTEL_EXPORTER_OTLP_HEADERS"]
    assert headers["valueFrom"] == {"secretKeyRef": {"name": "collector-key", "key": "headers"}}
    (without,) = only(shipped_way, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in {each["name"] for each in without["env"]}


def test_only_the_sidecar_has_the_identity_of_the_pod(shipped_way: list[Json]) -> None:
    assert annotations(shipped_way)["azure.workload.identity/skip-containers"] == "bridge"
    bus = {"settings": {"servicebus": {"namespace": "bridge-abc.servicebus.windows.net"}}}
    assert "azure.workload.identity/skip-containers" not in annotations(helm.documents(NEEDED, bus)), "the bridge reads dead letters itself"


def test_metrics_are_read_with_a_token(full: list[Json]) -> None:
    (endpoint,) = only(full, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": f"{RELEASE}-metrics-token", "key": "token"}
    (port,) = only(full, "Service")["spec"]["ports"]
    assert endpoint["port"] == port["name"]


def test_requests_of_the_canary_arrive_on_a_topic_of_their_own_and_count_as_the_canarys(full: list[Json]) -> None:
    written = yaml.safe_load(only(full, "ConfigMap")["data"]["bridge.yaml"])
    assert written["topics"]["automation-canary"]["submitter"] == CANARY
    assert written["topics"]["automation-requests"] == {"submitter": "automation-requests"}, "what was the default stays"
    spec = only(full, "Subscription", f"{RELEASE}-canary")["spec"]
    assert spec["routes"]["default"] == f"{ROUTE}automation-canary/bridge"
    (canary,) = only(full, "CronJob", f"{RELEASE}-canary")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert "--requests=automation-canary" in canary["args"]


def test_the_canary_runs_a_command_that_there_is(full: list[Json]) -> None:
    job = only(full, "CronJob", f"{RELEASE}-canary")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0, "a second try would hide the first"
    (canary,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert canary["args"][0] in {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    assert "--once" in canary["args"]


def test_a_canary_without_an_identity_is_refused() -> None:
    with pytest.raises(Refused, match=f"applicationClientIds has no {RELEASE}-canary"):
        helm.render(NEEDED, EVERYTHING, {"applicationClientIds": []})


def test_every_output_of_the_deployment_is_a_value(shipped: Deployment) -> None:
    assert shipped.outputs.keys() <= yaml.safe_load((helm.CHART / "values.yaml").read_text()).keys()


def test_the_service_account_is_the_one_that_azure_takes_for_the_bridge(shipped_way: list[Json]) -> None:
    template = (helm.CHART.parent / "azure" / "main.bicep").read_text()
    assert f"param serviceAccount string = '{only(shipped_way, 'ServiceAccount')['metadata']['name']}'" in template


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"clientId": ""}, "clientId"),
        ({"clientID": "x"}, "clientID"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"tokens": []}, "tokens"),
        ({"catalogue": ""}, "catalogue"),
        ({"autoscaling": {"minReplicas": 1}}, "minReplicas"),
        ({"autoscaling": {"by": "both"}}, "autoscaling/by"),
        ({"sidecarEnvironment": {"COSMOSDB_URL": "https://x"}}, "oneOf"),
        ({"sidecarEnvironment": {"KEYVAULT_NAME": "one,TWO=2"}}, "KEYVAULT_NAME"),
        ({"bridgeEnvironment": {"PATH": "/x"}}, "PATH"),
        ({"bridgeEnvironment": {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=1"}}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"bridgeEnvironment": {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key=1"}}, "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
        ({"bridgeEnvironment": {"OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=1"}}, "OTEL_EXPORTER_OTLP_METRICS_HEADERS"),
        ({"tracesHeadersSecret": "x-key=1"}, "tracesHeadersSecret"),
        ({"canary": {"enabled": True}}, "canary/plan"),
    ],
)
def test_values_that_would_break_the_bridge_are_refused_with_their_place(values: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused, match=named):
        helm.render(NEEDED, values)
