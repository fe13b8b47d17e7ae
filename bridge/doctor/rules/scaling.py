"""What scales workloads and what keeps them: autoscalers, disruption budgets, the injector's webhook."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import number
from bridge.doctor.workloads import PodTemplate, annotation, pods


def _target(document: ConfigDocument) -> tuple[str, str]:
    place = document.mapping("spec", "scaleTargetRef")
    return str(place.get("kind", "Deployment")), str(place.get("name", ""))


def _scaled(project: DoctorProject, document: ConfigDocument) -> PodTemplate | None:
    return next((each for each in pods(project) if (each.document.kind, each.document.name) == _target(document)), None)


@rule(
    "scaler-without-request",
    FindingLevel.ERROR,
    "Utilization is a share of requests: with a container that has none the autoscaler does nothing.",
)
def scaler_without_request(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler on the utilization of CPU or memory for Pods of which a container, or the sidecar, requests none."""
    for document in project.of_kind("HorizontalPodAutoscaler"):
        pod = _scaled(project, document)
        old = ("spec", "targetCPUUtilizationPercentage")
        if pod is not None and document.get(*old) is not None and (missing := _missing(pod, "cpu")):
            yield hit(document, old, f"{' and '.join(missing)} of {pod.document.name} requests no cpu.", "Add the requests.")
        for index, metric in document.items("spec", "metrics"):
            resource = metric.get("resource") if isinstance(metric, dict) and metric.get("type") == "Resource" else None
            if pod is None or not isinstance(resource, dict) or not _by_utilization(resource):
                continue
            name = str(resource.get("name"))
            if missing := _missing(pod, name):
                path: tuple[Key, ...] = ("spec", "metrics", index)
                mend = "Add the requests, or measure one container (type: ContainerResource)."
                yield hit(document, path, f"{' and '.join(missing)} of {pod.document.name} requests no {name}.", mend)


def _missing(pod: PodTemplate, name: str) -> list[str]:
    """The containers that request nothing of the resource."""
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


@rule("two-scalers", FindingLevel.ERROR, "Both set the number of replicas, one against the other.")
def two_scalers(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler and a ScaledObject, or two of a kind, for one workload."""
    seen: dict[tuple[str, str, str], ConfigDocument] = {}
    for document in project.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        key = (document.namespace, *_target(document))
        if key in seen:
            yield hit(document, ("spec", "scaleTargetRef"), f"{seen[key].kind} {seen[key].name} scales {key[2]} too.", "Keep one of them.")
        seen.setdefault(key, document)


@rule("scaler-target-unknown", FindingLevel.ERROR, "Nothing is scaled.")
def scaler_target_unknown(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler for a workload that is not among the manifests beside it."""
    names = [(each.document.kind, each.document.name) for each in pods(project)]
    for document in project.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        beside = [name for name in names if any(each.document.file == document.file for each in pods(project))]
        if beside and _target(document) not in names:
            yield hit(document, ("spec", "scaleTargetRef", "name"), f"There is no {' '.join(_target(document))}.", "Correct the name.")


@rule("scaler-bounds", FindingLevel.ERROR, "Kubernetes refuses it.")
def scaler_bounds(project: DoctorProject) -> Iterator[Hit]:
    """An autoscaler whose least is more than its most."""
    for document in project.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        fields = ("minReplicas", "maxReplicas") if document.kind.startswith("H") else ("minReplicaCount", "maxReplicaCount")
        least, most = (number(document.get("spec", each)) for each in fields)
        if least is not None and most is not None and least > most:
            yield hit(document, ("spec", fields[0]), f"{fields[0]} {least} is more than {fields[1]} {most}.", "Exchange them.")


@rule("budget-blocks", FindingLevel.WARNING, "No Pod may be moved: a node cannot be drained, and upgrades of the cluster stop.")
def budget_blocks(project: DoctorProject) -> Iterator[Hit]:
    """A disruption budget that permits none."""
    for document in project.of_kind("PodDisruptionBudget"):
        labels = document.mapping("spec", "selector", "matchLabels")
        pod = next(
            (each for each in pods(project) if labels and labels.items() <= each.document.mapping(*each.at("metadata", "labels")).items()),
            None,
        )
        replicas = number(pod.document.get("spec", "replicas", default=1)) if pod else None
        least = document.get("spec", "minAvailable")
        if str(document.get("spec", "maxUnavailable")) in ("0", "0%") or str(least) == "100%":
            yield hit(document, ("spec",), f"{document.name} permits no disruption.", "Write maxUnavailable: 1.")
        elif replicas is not None and isinstance(least, int) and pod and "replicas" in pod.document.mapping("spec") and least >= replicas:
            yield hit(
                document, ("spec", "minAvailable"), f"minAvailable {least} is all of the {replicas} Pods.", "Write maxUnavailable: 1."
            )


@rule("injector-ignored", FindingLevel.WARNING, "While the injector is down Pods start without a sidecar, and nobody is told.")
def injector_ignored(project: DoctorProject) -> Iterator[Hit]:
    """The webhook of Dapr's injector with failurePolicy Ignore."""
    for document in project.of_kind("MutatingWebhookConfiguration"):
        for index, each in document.items("webhooks"):
            if isinstance(each, dict) and "dapr" in str(each.get("name", "")) and each.get("failurePolicy") == "Ignore":
                path: tuple[Key, ...] = ("webhooks", index, "failurePolicy")
                mend = "Write Fail (chart: dapr_sidecar_injector.webhookFailurePolicy)."
                yield hit(document, path, "failurePolicy is Ignore.", mend, replacing(document.value_span(*path), "Fail"))
