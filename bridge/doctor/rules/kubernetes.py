"""Rules about what Kubernetes rejects or misunderstands: API versions, selectors, disruption budgets, schedules."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER, is_true, number
from bridge.doctor.workloads import PodTemplate, annotation, pods

#: The versions that Kubernetes serves today (its deprecation guide), the newest first. KEDA's are those of KEDA 2.
_SERVED = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), ("apps/v1",)),
    **dict.fromkeys(("Job", "CronJob"), ("batch/v1",)),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling/v1"),
    "PodDisruptionBudget": ("policy/v1",),
    **dict.fromkeys(("Ingress", "NetworkPolicy"), ("networking.k8s.io/v1",)),
    **dict.fromkeys(("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), ("rbac.authorization.k8s.io/v1",)),
    **dict.fromkeys(("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"), ("admissionregistration.k8s.io/v1",)),
    **dict.fromkeys(("Pod", "Service", "ConfigMap", "Secret", "ServiceAccount", "Namespace", "PersistentVolumeClaim"), ("v1",)),
    **dict.fromkeys(("ScaledObject", "ScaledJob", "TriggerAuthentication"), ("keda.sh/v1alpha1",)),
}
_GROUPS = frozenset([*(each.rpartition("/")[0] for served in _SERVED.values() for each in served), "app", "extensions", "keda.k8s.io"])
#: All kinds of a version.
_KINDS = {
    "v1": (
        *("Pod", "Service", "ConfigMap", "Secret", "ServiceAccount", "Namespace", "PersistentVolumeClaim", "PersistentVolume", "Endpoints"),
        *("Node", "Event", "LimitRange", "ResourceQuota", "ReplicationController", "PodTemplate", "Binding", "ComponentStatus", "Status"),
    ),
    "apps/v1": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ControllerRevision"),
    "batch/v1": ("Job", "CronJob"),
    "autoscaling/v1": ("HorizontalPodAutoscaler", "Scale"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "policy/v1": ("PodDisruptionBudget", "Eviction"),
    "keda.sh/v1alpha1": ("ScaledObject", "ScaledJob", "TriggerAuthentication", "ClusterTriggerAuthentication"),
}
_FEW = 5  #: kinds that are named
_SELECTING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_SCHEDULE = re.compile(
    r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)|((CRON_)?TZ=\S+ )?([\dA-Z*/,?#L-]+\s+){4}[\dA-Z*/,?#L-]+",
    re.IGNORECASE,
)


@rule("api-not-served", FindingLevel.ERROR, "Kubernetes rejects the manifest, because it does not know that kind in that version.")
def api_not_served(project: DoctorProject) -> Iterator[Hit]:
    """A Kubernetes or KEDA kind in an API version that is no longer served or never existed, or a kind that does not exist."""
    for document in project.documents:
        served = _SERVED.get(document.kind, ())
        kinds = _KINDS.get(document.api, ())
        if kinds and not served and document.kind and document.kind not in kinds and not document.kind.endswith("List"):
            # Others than Kubernetes write v1, too, so there a name must nearly be one of its own.
            found = hit(
                document, ("kind",), f"{document.api} has no kind {document.kind}.", f"It has {', '.join(kinds[:_FEW])} and others."
            )
            yield from [misspelt(found, document, ("kind",), kinds)] if document.api != "v1" or known.near(document.kind, kinds) else []
        if served and document.api and document.api not in served and document.api.rpartition("/")[0] in _GROUPS:
            mend = f"Write {served[0]}, and adapt what changed with that version."
            yield hit(document, ("apiVersion",), f"{document.api} has no kind {document.kind}.", mend)


@rule("selector-differs", FindingLevel.ERROR, "Kubernetes rejects the workload, because its selector must match its own Pods.")
def selector_differs(project: DoctorProject) -> Iterator[Hit]:
    """A workload whose selector names labels that its Pods do not have."""
    for pod in pods(project):
        labels = pod.document.mapping(*pod.at("metadata", "labels"))
        wanted = pod.document.mapping("spec", "selector", "matchLabels")
        if pod.document.kind not in _SELECTING or pod.document.is_patch:
            continue
        missing = [name for name, value in wanted.items() if labels.get(name) != value]
        if missing:
            path = ("spec", "selector", "matchLabels", missing[0])
            told = f"The selector requires {missing[0]}: {wanted[missing[0]]}, which the Pods do not have."
            yield hit(pod.document, path, told, "Add the same label to spec.template.metadata.labels.")


@rule("budget-blocks", FindingLevel.WARNING, "No Pod may be evicted, so a node cannot be drained and upgrades of the cluster stop.")
def budget_blocks(project: DoctorProject) -> Iterator[Hit]:
    """A PodDisruptionBudget that allows no disruption."""
    for document in project.of_kind("PodDisruptionBudget"):
        pod = next((each for each in pods(project) if _selects(document, each)), None)
        replicas = number(pod.document.get("spec", "replicas", default=1)) if pod else None
        least = document.get("spec", "minAvailable")
        if str(document.get("spec", "maxUnavailable")) in ("0", "0%") or str(least) == "100%":
            path = ("spec", "minAvailable" if least is not None else "maxUnavailable")
            yield hit(document, path, f"{document.name} allows no disruption.", "Write maxUnavailable: 1.")
        elif replicas is not None and isinstance(least, int) and pod and "replicas" in pod.document.mapping("spec") and least >= replicas:
            yield hit(
                document,
                ("spec", "minAvailable"),
                f"minAvailable {least} is not less than the {replicas} Pods.",
                "Write maxUnavailable: 1.",
            )


def _selects(budget: ConfigDocument, pod: PodTemplate) -> bool:
    labels = budget.mapping("spec", "selector", "matchLabels")
    return bool(labels) and all(pod.document.get(*pod.at("metadata", "labels", name)) == value for name, value in labels.items())


@rule("budget-invalid", FindingLevel.ERROR, "Kubernetes rejects the budget, or the budget protects no Pod.")
def budget_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A PodDisruptionBudget with both minAvailable and maxUnavailable, or one that selects no Pod."""
    for document in project.of_kind("PodDisruptionBudget"):
        if document.get("spec", "minAvailable") is not None and document.get("spec", "maxUnavailable") is not None:
            told = "The budget has both minAvailable and maxUnavailable."
            yield hit(document, ("spec", "maxUnavailable"), told, "Keep only maxUnavailable: 1.")
        beside = [pod for pod in pods(project) if pod.document.file == document.file]
        path = ("spec", "selector", "matchLabels")
        if beside and document.mapping(*path) and not any(_selects(document, pod) for pod in pods(project)):
            yield hit(document, path, "No Pod has the labels that it selects.", "Select the labels of the Pods.")


@rule("schedule-invalid", FindingLevel.ERROR, "Kubernetes rejects the CronJob, so nothing ever runs.")
def schedule_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A CronJob whose schedule does not have five fields."""
    for document in project.of_kind("CronJob"):
        schedule = document.get("spec", "schedule")
        if schedule is not None and document.api == "batch/v1" and not _SCHEDULE.fullmatch(str(schedule).strip()):
            yield hit(document, ("spec", "schedule"), f"{schedule!r} is not a schedule.", 'Write five fields, such as "0 1 * * *".')


@rule("job-with-sidecar", FindingLevel.ADVICE, "The sidecar keeps running after the job is done, so its Pod never ends.")
def job_with_sidecar(project: DoctorProject) -> Iterator[Hit]:
    """A Job with a sidecar that is not a native sidecar, and that no container ends with /v1.0/shutdown."""
    for pod in pods(project):
        is_job = pod.document.kind in ("Job", "CronJob") and pod.has_sidecar
        is_ended = any("/v1.0/shutdown" in str(each) for _, each in pod.containers())
        if is_job and not is_ended and not is_true(annotation(pod, "dapr.io/enable-native-sidecar")):
            mend = 'Let the job call POST /v1.0/shutdown of the sidecar at its end, or add dapr.io/enable-native-sidecar: "true".'
            yield hit(pod.document, pod.at("metadata", "annotations", "dapr.io/enabled"), f"{pod.document.kind} has a sidecar.", mend)


@rule("data-not-encoded", FindingLevel.ERROR, "Kubernetes rejects the Secret, because values under data must be encoded in base64.")
def data_not_encoded(project: DoctorProject) -> Iterator[Hit]:
    """A value under `data` of a Secret that is not encoded in base64."""
    for document in project.of_kind("Secret"):
        for name, value in document.mapping("data").items() if document.api == "v1" else ():
            if isinstance(value, str) and not PLACEHOLDER.search(value) and not _is_encoded(value):
                mend = "Move it to stringData, which takes plain text, or encode it."
                yield hit(document, ("data", name), f"{name} is not encoded in base64.", mend)


def _is_encoded(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
