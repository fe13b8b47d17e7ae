"""Network policies: whether a Pod with a sidecar can still reach what it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject, same_namespace
from bridge.doctor.values import component_type
from bridge.doctor.workloads import PodTemplate, annotation, with_sidecar

_BY_NAME = "kubernetes.io/metadata.name"  #: the label that every namespace has


@dataclass(frozen=True)
class SidecarNeed:
    """What a sidecar must reach: the port, and whether it is in the namespace of the names, in another of the cluster, or outside."""

    protocol: str
    port: int
    place: Literal["names", "cluster", "outside"]


_NAMES = SidecarNeed("UDP", 53, "names")
_SENTRY = SidecarNeed("TCP", 50001, "cluster")  #: the port of its Pods; a policy sees no ports of Services
_SERVICE_BUS = SidecarNeed("TCP", 5671, "outside")


@rule(
    "network-policy-closes",
    FindingLevel.ERROR,
    "The sidecar cannot resolve names, get its certificate or reach the bus. It does not start, and the Pod is never ready.",
)
def network_policy_closes(project: DoctorProject) -> Iterator[Hit]:
    """Network policies for a Pod with a sidecar that block DNS (UDP 53), sentry (TCP 50001), or its Service Bus (TCP 5671)."""
    for pod in with_sidecar(project):
        policies = [each for each in project.of_kind("NetworkPolicy") if _is_for(each, pod)]
        closing = [each for each in policies if "Egress" in _directions(each)]
        if not closing or pod.document.is_patch:
            continue
        for needed, told in _needed(project, pod):
            if not any(_opens(each, needed) for each in closing):
                mend = f"Add an egress rule for {needed.protocol} port {needed.port}."
                name = annotation(pod, "dapr.io/app-id") or pod.document.name
                yield hit(closing[0], ("spec", "egress"), f"{name} cannot reach {told}.", mend)


def _needed(project: DoctorProject, pod: PodTemplate) -> Iterator[tuple[SidecarNeed, str]]:
    yield _NAMES, "DNS: no rule allows UDP port 53"
    yield _SENTRY, "sentry, which issues its certificate: no rule allows TCP port 50001 of dapr-system"
    name = annotation(pod, "dapr.io/app-id")
    components = [each for each in project.related(pod.document, project.of_kind("Component", dapr=True)) if name in each.scopes]
    bus = next((each for each in components if "azure.servicebus" in component_type(each)), None)
    if bus is not None:
        yield _SERVICE_BUS, f"Service Bus, which {bus.name} reads: no rule allows TCP port 5671"


def _is_for(policy: ConfigDocument, pod: PodTemplate) -> bool:
    """Whether a policy is for the Pod; one that selects by expressions is left alone."""
    labels = policy.mapping("spec", "podSelector", "matchLabels")
    of_pod = pod.document.mapping(*pod.at("metadata", "labels"))
    is_selected = all(of_pod.get(name) == value for name, value in labels.items())
    is_near = policy.file.parent == pod.document.file.parent and same_namespace(policy, pod.document)
    return is_selected and is_near and not policy.mapping("spec", "podSelector").get("matchExpressions")


def _directions(policy: ConfigDocument) -> list[object]:
    given = policy.get("spec", "policyTypes")
    return given if isinstance(given, list) else ["Egress"] if policy.get("spec", "egress") is not None else []


def _opens(policy: ConfigDocument, needed: SidecarNeed) -> bool:
    """Whether one of the rules lets it through."""
    for index, each in policy.items("spec", "egress"):
        ports = [entry for _, entry in policy.items("spec", "egress", index, "ports")]
        peers = [number for number, _ in policy.items("spec", "egress", index, "to")]
        is_open = not ports or any(_is(entry, needed) for entry in ports)
        if not isinstance(each, Mapping) or (
            is_open and (not peers or any(_leads(policy, ("spec", "egress", index, "to", number), needed) for number in peers))
        ):
            return True
    return False


def _is(entry: object, needed: SidecarNeed) -> bool:
    """Whether an entry of `ports` is the port, or may be: a name is left alone."""
    if not isinstance(entry, Mapping):
        return True
    first, last = entry.get("port"), entry.get("endPort")
    if str(entry.get("protocol", "TCP")) != needed.protocol:
        return False
    return not isinstance(first, int) or first <= needed.port <= (last if isinstance(last, int) else first)


def _leads(policy: ConfigDocument, peer: tuple[Key, ...], needed: SidecarNeed) -> bool:
    """Whether an entry of `to` is the place, or may be: addresses and other labels of namespaces than their names are left alone."""
    if policy.get(*peer, "ipBlock"):
        return True
    if needed.place == "outside" or policy.get(*peer, "namespaceSelector") is None:
        return False
    name = policy.get(*peer, "namespaceSelector", "matchLabels", _BY_NAME)
    return name is None or (name == "kube-system") == (needed.place == "names")
