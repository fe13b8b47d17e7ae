"""Rules about autoscalers, and about the webhook that injects sidecars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject, together
from bridge.doctor.values import number
from bridge.doctor.workloads import WORKLOADS, PodTemplate, annotation, pods


def _target(document: ConfigDocument) -> tuple[str, str]:
    place = document.mapping("spec", "scaleTargetRef")
    return str(place.get("kind", "Deployment")), str(place.get("name", ""))


def _scaled(project: DoctorProject, document: ConfigDocument) -> PodTemplate | None:
    found = [each for each in pods(project) if (each.document.kind, each.document.name) == _target(document) and not each.document.is_patch]
    beside = [each.document for each in found if together(each.document.file, document.file)] or [each.document for each in found[:1]]
    return next((each for each in found if beside and each.document is beside[0]), None)


@rule(
    "scaler-without-request",
    FindingLevel.ERROR,
    "Utilization is a percentage of the request. If one container has no request, the autoscaler does nothing.",
)
def scaler_without_request(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler on CPU or memory utilization for Pods in which a container or the sidecar has no resource request."""
    for document in project.of_kind("HorizontalPodAutoscaler"):
        pod = _scaled(project, document)
        old = ("spec", "targetCPUUtilizationPercentage")
        if pod is not None and document.get(*old) is not None and (missing := _missing(pod, "cpu")):
            yield hit(document, old, f"{' and '.join(missing)} of {pod.document.name} requests no cpu.", "Add the resource requests.")
        for index, metric in document.items("spec", "metrics"):
            resource = metric.get("resource") if isinstance(metric, dict) and metric.get("type") == "Resource" else None
            if pod is None or not isinstance(resource, dict) or not _by_utilization(resource):
                continue
            name = str(resource.get("name"))
            if missing := _missing(pod, name):
                path: tuple[Key, ...] = ("spec", "metrics", index)
                mend = "Add the resource requests, or measure a single container (type: ContainerResource)."
                yield hit(document, path, f"{' and '.join(missing)} of {pod.document.name} requests no {name}.", mend)


def _missing(pod: PodTemplate, name: str) -> list[str]:
    """The containers without a request for the resource."""
    missing = [str(each.get("name")) for _, each in pod.containers() if not _requests(each, name)]
    if pod.has_sidecar and not annotation(pod, f"dapr.io/sidecar-{name}-request"):
        missing.append(f"daprd (annotation dapr.io/sidecar-{name}-request)")
    return missing


def _by_utilization(resource: dict[str, object]) -> bool:
    target = resource.get("target")
    return isinstance(target, dict) and "averageUtilization" in target


def _requests(container: dict[str, object], name: str) -> bool:
    resources = container.get("resources")
    found = [resources.get(each) for each in ("requests", "limits")] if isinstance(resources, dict) else []
    return any(isinstance(each, dict) and name in each for each in found)


@rule("two-scalers", FindingLevel.ERROR, "Both set the number of replicas, and work against each other.")
def two_scalers(project: DoctorProject) -> Iterator[Hit]:
    """A HorizontalPodAutoscaler and a ScaledObject beside each other, or two of a kind in one file, for the same workload."""
    seen: dict[tuple[str, str, str], list[ConfigDocument]] = {}
    for document in _scalers(project):
        same = seen.setdefault((document.namespace, *_target(document)), [])
        for first in same:
            if together(first.file, document.file) if first.kind != document.kind else first.file == document.file:
                told = f"{first.kind} {first.name} also scales {_target(document)[1]}."
                yield hit(document, ("spec", "scaleTargetRef"), told, "Keep one of them.")
                break
        same.append(document)


def _scalers(project: DoctorProject) -> Iterator[ConfigDocument]:
    for document in project.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        if document.api.startswith(("autoscaling/", "keda.sh/")) and _target(document)[1] and not document.is_patch:
            yield document


@rule("scaler-target-unknown", FindingLevel.ERROR, "Nothing is scaled.")
def scaler_target_unknown(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler for a workload that is not among the manifests of its file."""
    names: dict[Path, set[tuple[str, str]]] = {}
    for pod in pods(project):
        names.setdefault(pod.document.file, set()).add((pod.document.kind, pod.document.name))
    everywhere = {each for found in names.values() for each in found}
    for document in _scalers(project):
        kind, name = _target(document)
        if document.file in names and kind in WORKLOADS and (kind, name) not in everywhere:
            path = ("spec", "scaleTargetRef", "name")
            of_kind = [each for each_kind, each in names[document.file] if each_kind == kind]
            found = hit(document, path, f"No {kind} is named {name}.", "Correct the name.")
            yield misspelt(found, document, path, of_kind)


@rule("scaler-bounds", FindingLevel.ERROR, "Kubernetes rejects the autoscaler, or every rollout starts Pods that are stopped at once.")
def scaler_bounds(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler whose minimum is larger than its maximum, or a workload with more replicas than its autoscaler allows."""
    for document in project.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        fields = ("minReplicas", "maxReplicas") if document.kind.startswith("H") else ("minReplicaCount", "maxReplicaCount")
        least, most = (number(document.get("spec", each)) for each in fields)
        if least is not None and most is not None and least > most:
            yield hit(document, ("spec", fields[0]), f"{fields[0]} {least} is more than {fields[1]} {most}.", "Swap the two values.")
        pod = _scaled(project, document)
        replicas = number(pod.document.get("spec", "replicas")) if pod is not None and pod.document.file == document.file else None
        if pod is not None and replicas is not None and most is not None and replicas > most:
            told = f"replicas {replicas} is more than {fields[1]} {most} of {document.name}."
            yield hit(pod.document, ("spec", "replicas"), told, "Remove replicas: the autoscaler sets them.")


@rule("injector-ignored", FindingLevel.WARNING, "While the injector is down, Pods start without a sidecar and nothing reports it.")
def injector_ignored(project: DoctorProject) -> Iterator[Hit]:
    """The webhook of Dapr's sidecar injector with the failurePolicy Ignore."""
    for document in project.of_kind("MutatingWebhookConfiguration"):
        for index, each in document.items("webhooks"):
            if isinstance(each, dict) and "dapr" in str(each.get("name", "")) and each.get("failurePolicy") == "Ignore":
                path: tuple[Key, ...] = ("webhooks", index, "failurePolicy")
                mend = "Write Fail (in Dapr's chart: dapr_sidecar_injector.webhookFailurePolicy)."
                yield hit(document, path, "failurePolicy is Ignore.", mend, replacing(document.value_span(*path), "Fail"))
