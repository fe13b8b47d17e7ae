"""Keywords in manifests of Kubernetes and KEDA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER
from bridge.doctor.workloads import pods

Words = Sequence[str]
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_RESTARTS = {"Job": ("Never", "OnFailure"), "CronJob": ("Never", "OnFailure"), "Pod": ("Always", "Never", "OnFailure")}
_PULLS = ("Always", "IfNotPresent", "Never")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
#: Where a word stands in a resource; `*` is every entry of a list.
_PLACES: dict[str, dict[tuple[Key, ...], Words]] = {
    "CronJob": {("spec", "concurrencyPolicy"): ("Allow", "Forbid", "Replace")},
    "Deployment": {("spec", "strategy", "type"): ("RollingUpdate", "Recreate")},
    "StatefulSet": {
        ("spec", "updateStrategy", "type"): ("RollingUpdate", "OnDelete"),
        ("spec", "podManagementPolicy"): ("OrderedReady", "Parallel"),
    },
    "DaemonSet": {("spec", "updateStrategy", "type"): ("RollingUpdate", "OnDelete")},
    "Service": {
        ("spec", "type"): ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        ("spec", "sessionAffinity"): ("ClientIP", "None"),
        ("spec", "externalTrafficPolicy"): ("Cluster", "Local"),
        ("spec", "ports", "*", "protocol"): _PROTOCOLS,
    },
    "HorizontalPodAutoscaler": {
        ("spec", "metrics", "*", "type"): ("ContainerResource", "External", "Object", "Pods", "Resource"),
        ("spec", "metrics", "*", "resource", "target", "type"): ("Utilization", "Value", "AverageValue"),
        ("spec", "metrics", "*", "containerResource", "target", "type"): ("Utilization", "Value", "AverageValue"),
    },
    "NetworkPolicy": {
        ("spec", "policyTypes", "*"): ("Ingress", "Egress"),
        ("spec", "ingress", "*", "ports", "*", "protocol"): _PROTOCOLS,
        ("spec", "egress", "*", "ports", "*", "protocol"): _PROTOCOLS,
    },
    "Ingress": {("spec", "rules", "*", "http", "paths", "*", "pathType"): ("Exact", "ImplementationSpecific", "Prefix")},
    "TriggerAuthentication": {("spec", "podIdentity", "provider"): ("azure-workload", "gcp", "aws", "aws-eks", "none")},
    "ClusterTriggerAuthentication": {("spec", "podIdentity", "provider"): ("azure-workload", "gcp", "aws", "aws-eks", "none")},
}
_GROUPS = ("v1", "apps/", "batch/", "autoscaling/", "policy/", "networking.k8s.io/", "keda.sh/")


@rule("kubernetes-word-unknown", FindingLevel.ERROR, "Kubernetes rejects the manifest, or KEDA does not act on it.")
def kubernetes_word_unknown(project: DoctorProject) -> Iterator[Hit]:
    """An unknown keyword of Kubernetes or KEDA, such as a protocol or a policy. Letter case counts."""
    for document in project.documents:
        if document.api.startswith(_GROUPS):
            for place, words in _PLACES.get(document.kind, {}).items():
                for path in _found(document, (), place):
                    yield from _told(document, path, words)
    for pod in pods(project):
        yield from _told(pod.document, pod.at("spec", "restartPolicy"), _RESTARTS.get(pod.document.kind, ("Always",)))
        yield from _told(pod.document, pod.at("spec", "dnsPolicy"), _DNS)
        for path, container in pod.containers():
            yield from _told(pod.document, (*path, "imagePullPolicy"), _PULLS)
            ports = container.get("ports")
            for index in range(len(ports) if isinstance(ports, list) else 0):
                yield from _told(pod.document, (*path, "ports", index, "protocol"), _PROTOCOLS)


def _found(document: ConfigDocument, path: tuple[Key, ...], rest: tuple[Key, ...]) -> Iterator[tuple[Key, ...]]:
    """The paths that a place with `*` stands for."""
    if "*" not in rest:
        yield (*path, *rest)
        return
    at = rest.index("*")
    before = (*path, *rest[:at])
    for number, _ in document.items(*before):
        yield from _found(document, (*before, number), rest[at + 1 :])


def _told(document: ConfigDocument, path: tuple[Key, ...], words: Words) -> Iterator[Hit]:
    value = document.get(*path)
    if isinstance(value, str) and value and value not in words and not PLACEHOLDER.search(value) and "|" not in value:
        name = path[-1] if isinstance(path[-1], str) else path[-2]
        found = hit(
            document, path, f"{name} is {value}.", f"Write {', '.join(words[:-1])} or {words[-1]}." if words[1:] else f"Write {words[0]}."
        )
        yield misspelt(found, document, path, words)
