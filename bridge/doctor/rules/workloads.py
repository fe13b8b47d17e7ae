"""Rules about workloads in Kubernetes manifests: what the bridge needs in its Pod, probes, resources and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.findings import FindingLevel, Hit, hit, replacing, rule
from bridge.doctor.project import DoctorProject, same_namespace
from bridge.doctor.rules.secrets import SECRET_INSIDE
from bridge.doctor.values import PLACEHOLDER, metadata_text
from bridge.doctor.workloads import PodTemplate, annotation, pods, with_sidecar

_DEFAULT_BODY = 4 * 2**20  #: bytes
_SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|_KEY|APIKEY|CONNECTION_?STRING|SAS)$", re.IGNORECASE)
_NAMED = re.compile(r"KUBE_SECRET$|_SECRET_KEY$|CLUSTER_TOKEN$", re.IGNORECASE)  #: which may say where the secret is
_WORDS = re.compile(r"[a-z]+(-[a-z]+)*")
_REFERENCE = re.compile(r"\$\(\w+\)|@Microsoft\.KeyVault|^/|^https?://[^@]+$", re.IGNORECASE)


def is_bridge(pod: PodTemplate) -> bool:
    """Whether the Pod runs the bridge, by its app id or its image."""
    images = [str(each.get("image", "")) for _, each in pod.containers()]
    return annotation(pod, "dapr.io/app-id") == "automation-bridge" or any("automation-bridge" in each for each in images)


@rule(
    "deliveries-over-http",
    FindingLevel.ERROR,
    "Over HTTP, Dapr 1.18 loses events whose deliveries fail at the same time. The bridge therefore "
    "refuses such deliveries and receives nothing.",
    of_lack=True,
)
def deliveries_over_http(project: DoctorProject) -> Iterator[Hit]:
    """A bridge whose sidecar delivers events over HTTP."""
    for pod in with_sidecar(project):
        if is_bridge(pod) and annotation(pod, "dapr.io/app-protocol") not in ("grpc", "grpcs"):
            path = pod.at("metadata", "annotations", "dapr.io/app-protocol")
            fix = replacing(pod.document.value_span(*path), "grpc")
            yield hit(pod.document, path, "The sidecar of the bridge delivers over HTTP.", "Add dapr.io/app-protocol: grpc.", fix)


@rule("app-port-missing", FindingLevel.ERROR, "The sidecar delivers no events to an application whose port it does not know.", of_lack=True)
def app_port_missing(project: DoctorProject) -> Iterator[Hit]:
    """A sidecar without `dapr.io/app-port`, although its application subscribes to topics."""
    for pod in with_sidecar(project):
        name = annotation(pod, "dapr.io/app-id")
        subscriptions = project.related(pod.document, project.of_kind("Subscription", dapr=True))
        subscribed = is_bridge(pod) or any(name in each.scopes for each in subscriptions)
        if subscribed and not annotation(pod, "dapr.io/app-port"):
            yield hit(
                pod.document,
                pod.at("metadata", "annotations"),
                "The Pod has no annotation dapr.io/app-port.",
                'Add it in quotes. For the bridge write "8081".',
            )


@rule(
    "body-too-small",
    FindingLevel.WARNING,
    "A run with a large output is stored as one value of more than 4 MiB, which the sidecar refuses.",
    of_lack=True,
)
def body_too_small(project: DoctorProject) -> Iterator[Hit]:
    """A bridge whose sidecar has the default body size limit of 4 MiB, or a smaller one."""
    for pod in with_sidecar(project):
        value = annotation(pod, "dapr.io/max-body-size")
        if not is_bridge(pod) or annotation(pod, "dapr.io/http-max-request-size"):
            continue
        if not value:
            yield hit(
                pod.document,
                pod.at("metadata", "annotations"),
                "The Pod has no annotation dapr.io/max-body-size.",
                "Add dapr.io/max-body-size: 16Mi.",
            )
        elif (size := _quantity(value)) is not None and size <= _DEFAULT_BODY:
            path = pod.at("metadata", "annotations", "dapr.io/max-body-size")
            yield hit(pod.document, path, f"The sidecar accepts bodies of {value}.", "Write 16Mi.")


def _quantity(text: str) -> int | None:
    """The bytes of a Kubernetes quantity; None for anything else."""
    found = re.fullmatch(r"(\d+)(k|Ki|M|Mi|G|Gi)?", text)
    factors = {None: 1, "k": 10**3, "Ki": 2**10, "M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30}
    return int(found[1]) * factors[found[2]] if found else None


@rule(
    "alive-only-when-ready",
    FindingLevel.ERROR,
    "While the bus is unavailable, Kubernetes restarts every Pod again and again, and each restart interrupts the work in progress.",
)
def alive_only_when_ready(project: DoctorProject) -> Iterator[Hit]:
    """A liveness probe on the readiness endpoint `/healthz/ready`."""
    for pod in pods(project):
        for path, _ in pod.containers():
            place = (*path, "livenessProbe", "httpGet", "path")
            if str(pod.document.get(*place, default="")).endswith("/healthz/ready"):
                span = replacing(pod.document.value_span(*place), "/healthz/live")
                yield hit(pod.document, place, "The livenessProbe calls /healthz/ready.", "Write /healthz/live.", span)


@rule(
    "identity-not-asked-for",
    FindingLevel.ERROR,
    "The Pod gets no token, so what it connects to rejects it, and components of its sidecar do not initialize: INIT_COMPONENT_FAILURE.",
    of_lack=True,
)
def identity_not_asked_for(project: DoctorProject) -> Iterator[Hit]:
    """A Pod without the workload identity label, although its components or its service account use workload identity."""
    for pod in pods(project):
        label = pod.document.get(*pod.at("metadata", "labels", "azure.workload.identity/use"))
        used = _uses_identity(project, pod)
        if used and str(label).lower() != "true" and not pod.document.is_patch:
            told = f"{used} workload identity, but the Pod has no label azure.workload.identity/use."
            yield hit(pod.document, pod.at("metadata", "labels"), told, 'Add the label azure.workload.identity/use: "true" to the Pod.')


def _uses_identity(project: DoctorProject, pod: PodTemplate) -> str:
    """What of a Pod uses workload identity, with its verb: a component of its sidecar, or its service account; empty if nothing does."""
    name = annotation(pod, "dapr.io/app-id")
    for each in project.of_kind("Component", dapr=True) if pod.has_sidecar else ():
        if name in each.scopes and "workloadidentity" in (metadata_text(each, "azureAuthMethods") or "").lower():
            return f"{each.name} uses"
    account = pod.document.get(*pod.at("spec", "serviceAccountName"))
    for each in project.of_kind("ServiceAccount"):
        is_its = each.name == account and each.file == pod.document.file and same_namespace(each, pod.document)
        if is_its and each.get("metadata", "annotations", "azure.workload.identity/client-id"):
            return f"The service account {account} has"
    return ""


@rule(
    "service-links",
    FindingLevel.ERROR,
    "For a Service named bridge, Kubernetes sets BRIDGE_PORT=tcp://…. The bridge reads that variable as its port and does not start.",
    of_lack=True,
)
def service_links(project: DoctorProject) -> Iterator[Hit]:
    """A bridge with service links beside a Service named bridge."""
    named = any(each.name == "bridge" for each in project.of_kind("Service"))
    for pod in pods(project):
        if named and is_bridge(pod) and pod.document.get(*pod.at("spec", "enableServiceLinks")) is not False:
            yield hit(
                pod.document,
                pod.at("spec"),
                "A Service is named bridge, and enableServiceLinks is not false.",
                "Add enableServiceLinks: false.",
            )


@rule(
    "readiness-missing",
    FindingLevel.WARNING,
    "Kubernetes sends requests to a Pod before it can handle them, or while its sidecar is missing.",
    of_lack=True,
)
def readiness_missing(project: DoctorProject) -> Iterator[Hit]:
    """A bridge without a readiness probe."""
    for pod in pods(project):
        for path, container in pod.containers():
            if is_bridge(pod) and container.get("ports") and "readinessProbe" not in container and path[-2] == "containers":
                yield hit(pod.document, path, f"{container.get('name')} has no readinessProbe.", "Add one that calls /healthz/ready.")


@rule("secret-in-environment", FindingLevel.ERROR, "Whoever can read the workload, the repository or a crash report has the secret.")
def secret_in_environment(project: DoctorProject) -> Iterator[Hit]:
    """An environment variable whose name suggests a secret, with its value in the manifest."""
    for pod in pods(project):
        for path, _ in pod.containers():
            for index, each in pod.document.items(*path, "env"):
                name, value = (str(each.get("name", "")), each.get("value")) if isinstance(each, dict) else ("", None)
                is_secret = (
                    _SECRET.search(name)
                    and not (_NAMED.search(name) and _WORDS.fullmatch(str(value)))
                    and not _REFERENCE.search(str(value))
                )
                if value and not PLACEHOLDER.search(str(value)) and (is_secret or SECRET_INSIDE.search(str(value))):
                    yield hit(
                        pod.document,
                        (*path, "env", index),
                        f"The value of {name} is in the manifest.",
                        "Take it from a Secret with valueFrom.",
                    )


@rule("image-moves", FindingLevel.ADVICE, "Two Pods of one workload may run different programs, and nobody can tell which.")
def image_moves(project: DoctorProject) -> Iterator[Hit]:
    """An image, also of the sidecar, without a tag or digest, or with the tag latest."""
    for pod in pods(project):
        images = [((*path, "image"), str(container.get("image", ""))) for path, container in pod.containers()]
        named = "dapr.io/sidecar-image"
        for place, image in [*images, (pod.at("metadata", "annotations", named), annotation(pod, named))]:
            if image and "@" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest")):
                yield hit(pod.document, place, f"{image} may point to another image tomorrow.", "Use a version tag or, better, a digest.")


@rule(
    "memory-unbounded",
    FindingLevel.ADVICE,
    "A container without a limit can take the memory that its neighbours need, and is then killed by the node instead of by its own limit.",
    of_lack=True,
)
def memory_unbounded(project: DoctorProject) -> Iterator[Hit]:
    """A container or sidecar without a memory limit."""
    for pod in pods(project):
        for path, container in pod.containers():
            resources = container.get("resources")
            limits = resources.get("limits") if isinstance(resources, dict) else None
            if not isinstance(limits, dict) or "memory" not in limits:
                yield hit(pod.document, path, f"{container.get('name')} has no memory limit.", "Add resources.limits.memory.")
        if pod.has_sidecar and not annotation(pod, "dapr.io/sidecar-memory-limit"):
            mend = "Add dapr.io/sidecar-memory-limit, and set a lower GOMEMLIMIT in dapr.io/env."
            yield hit(pod.document, pod.at("metadata", "annotations"), "The sidecar has no memory limit.", mend)
