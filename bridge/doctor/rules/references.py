"""What manifests name that must be there: ports and volumes of a Pod, the Pods of a Service, and other resources of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject, same_namespace
from bridge.doctor.values import PLACEHOLDER
from bridge.doctor.workloads import PROBES, PodTemplate, annotation, listed, pods

#: What a volume, a variable, or all variables of a container may be taken from: the place, and the kind.
_VOLUMES: tuple[tuple[tuple[Key, ...], str], ...] = (
    (("configMap", "name"), "ConfigMap"),
    (("secret", "secretName"), "Secret"),
    (("persistentVolumeClaim", "claimName"), "PersistentVolumeClaim"),
)
_VARIABLES: tuple[tuple[tuple[Key, ...], str], ...] = (
    (("valueFrom", "configMapKeyRef", "name"), "ConfigMap"),
    (("valueFrom", "secretKeyRef", "name"), "Secret"),
)
_ALL_VARIABLES: tuple[tuple[tuple[Key, ...], str], ...] = ((("configMapRef", "name"), "ConfigMap"), (("secretRef", "name"), "Secret"))


@rule(
    "port-name-unknown",
    FindingLevel.ERROR,
    "The probe always fails, so the Pod is never ready or is restarted again and again; a Service leads nowhere.",
)
def port_name_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A probe or a Service that names a port which no container has."""
    for pod in pods(project):
        for path, container in pod.containers():
            names = _port_names(container)
            for probe in PROBES if not pod.document.is_patch else ():
                for way in ("httpGet", "tcpSocket"):
                    yield from _port(pod.document, (*path, probe, way, "port"), names)
    for service, found in _services(project):
        names = {name for pod in found for _, container in pod.containers() for name in _port_names(container)}
        for index, _ in service.items("spec", "ports") if found else ():
            yield from _port(service, ("spec", "ports", index, "targetPort"), names)


def _port_names(container: Mapping[str, object]) -> set[str]:
    return {str(each["name"]) for each in listed(container, "ports") if isinstance(each, Mapping) and each.get("name")}


def _port(document: ConfigDocument, path: tuple[Key, ...], names: set[str]) -> Iterator[Hit]:
    port = document.get(*path)
    if isinstance(port, str) and not port.isdigit() and not PLACEHOLDER.search(port) and port not in names:
        mend = f"There is {', '.join(sorted(names))}." if names else "Write its number, or give the container's port this name."
        yield misspelt(hit(document, path, f"No port of the container is named {port}.", mend), document, path, names)


def _services(project: DoctorProject) -> Iterator[tuple[ConfigDocument, list[PodTemplate]]]:
    """Every Service that selects, with the Pods that it selects."""
    for document in project.of_kind("Service"):
        labels = document.mapping("spec", "selector")
        if document.api == "v1" and labels and not document.is_patch:
            found = [each for each in pods(project) if _has(each, labels) and same_namespace(each.document, document)]
            yield document, found


def _has(pod: PodTemplate, labels: Mapping[object, object]) -> bool:
    of_pod = pod.document.mapping(*pod.at("metadata", "labels"))
    return all(of_pod.get(name) == value for name, value in labels.items())


@rule("service-selects-none", FindingLevel.ERROR, "The Service has no endpoints: every call to it is refused.")
def service_selects_none(project: DoctorProject) -> Iterator[Hit]:
    """A Service with the name of a workload of its file that does not select the Pods of this workload."""
    for document, found in _services(project):
        namesakes = [each for each in pods(project) if each.document.file == document.file and each.document.name == document.name]
        if not found and namesakes:
            path = ("spec", "selector")
            told = f"The selector matches no Pod; the Pods of {document.name} have other labels."
            yield hit(document, path, told, "Write the labels of the Pods.")


@rule("volume-unknown", FindingLevel.ERROR, "Kubernetes rejects the Pod, or the sidecar starts without the files.")
def volume_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A volume mount of a container or of the sidecar whose volume the Pod does not define."""
    for pod in pods(project):
        document = pod.document
        claims = [each.get("metadata") for _, each in document.items("spec", "volumeClaimTemplates") if isinstance(each, dict)]
        names = {str(each.get("name")) for each in claims if isinstance(each, dict)}
        names |= {str(each.get("name")) for _, each in document.items(*pod.at("spec", "volumes")) if isinstance(each, dict)}
        if document.is_patch:
            continue
        for path, container in pod.containers():
            for index, mount in enumerate(listed(container, "volumeMounts")):
                name = str(mount.get("name", "")) if isinstance(mount, dict) else ""
                if name and name not in names and not PLACEHOLDER.search(name):
                    place = (*path, "volumeMounts", index, "name")
                    yield misspelt(hit(document, place, f"The Pod has no volume {name}.", "Add it to volumes."), document, place, names)
        for key in ("dapr.io/volume-mounts", "dapr.io/volume-mounts-rw"):
            for each in annotation(pod, key).split(",") if pod.has_sidecar else ():
                name = each.partition(":")[0].strip()
                if ":" in each and name not in names and not PLACEHOLDER.search(name):
                    place = pod.at("metadata", "annotations", key)
                    yield hit(document, place, f"The Pod has no volume {name}.", "Add it to volumes.")


@rule(
    "reference-misspelt",
    FindingLevel.ERROR,
    "Kubernetes finds no resource of that name: the Pods do not start, or cannot be found by name.",
)
def reference_misspelt(project: DoctorProject) -> Iterator[Hit]:
    """A misspelt name of a service account, Service, ConfigMap, Secret or claim: the file has a resource of nearly the same name."""
    for pod in pods(project):
        for path, kind in _references(pod):
            name = pod.document.get(*path)
            names = {each.name for each in project.of_kind(kind) if each.file == pod.document.file}
            if isinstance(name, str) and name and name not in names and known.one_typo(name, names):
                yield misspelt(hit(pod.document, path, f"No {kind} is named {name}.", ""), pod.document, path, names)


def _references(pod: PodTemplate) -> Iterator[tuple[tuple[Key, ...], str]]:
    """The places at which a workload may name another resource, each with the kind of that."""
    yield pod.at("spec", "serviceAccountName"), "ServiceAccount"
    if pod.document.kind == "StatefulSet":
        yield ("spec", "serviceName"), "Service"
    for index, _ in pod.document.items(*pod.at("spec", "volumes")):
        yield from ((pod.at("spec", "volumes", index, *place), kind) for place, kind in _VOLUMES)
    for path, _ in pod.containers():
        for group, places in (("env", _VARIABLES), ("envFrom", _ALL_VARIABLES)):
            for index, _ in pod.document.items(*path, group):
                yield from (((*path, group, index, *place), kind) for place, kind in places)
