"""Pods and pod templates in Kubernetes manifests, and their annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import is_true

WORKLOADS: dict[str, tuple[Key, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")  #: of a container


@dataclass(frozen=True)
class PodTemplate:
    """A Pod or a Pod template: its document, and the path to it in the document."""

    document: ConfigDocument
    path: tuple[Key, ...]

    def at(self, *path: Key) -> tuple[Key, ...]:
        """The path of a field below the template."""
        return (*self.path, *path)

    def containers(self) -> Iterator[tuple[tuple[Key, ...], dict[str, object]]]:
        """The containers with their paths, init containers included."""
        for group in ("initContainers", "containers"):
            for index, each in self.document.items(*self.at("spec", group)):
                if isinstance(each, dict):
                    yield self.at("spec", group, index), each

    @property
    def has_sidecar(self) -> bool:
        """Whether Dapr's injector adds a sidecar."""
        return is_true(annotation(self, "dapr.io/enabled"))


def pods(project: DoctorProject) -> Iterator[PodTemplate]:
    """All Pods and Pod templates."""
    for document in project.of_kind(*WORKLOADS):
        if document.api in ("v1", "apps/v1", "batch/v1"):
            yield PodTemplate(document, WORKLOADS[document.kind])


def with_sidecar(project: DoctorProject) -> Iterator[PodTemplate]:
    """The Pods to which Dapr's injector adds a sidecar."""
    return (each for each in pods(project) if each.has_sidecar)


def is_deployed(project: DoctorProject, document: ConfigDocument) -> bool:
    """Whether a resource is deployed to Kubernetes, because there are workloads that it belongs to."""
    return bool(project.related(document, (pod.document for pod in pods(project))))


def annotation(pod: PodTemplate, name: str) -> str:
    """The value of a Pod's annotation; empty if it has none."""
    value = pod.document.get(*pod.at("metadata", "annotations", name))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def listed(container: Mapping[str, object], name: str) -> list[object]:
    """The entries of a list of a container, such as its ports; none if there is no list."""
    found = container.get(name)
    return found if isinstance(found, list) else []
