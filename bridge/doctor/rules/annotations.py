"""Rules about `dapr.io/…` annotations of Pods: names, positions, values, and the resources that they refer to."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor import annotationvalues, known
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER, go_duration, number
from bridge.doctor.workloads import annotation, pods, with_sidecar

_PREFIX = "dapr.io/"
_ASKED = ("dapr.io/enabled", "dapr.io/app-id", "dapr.io/app-port", "dapr.io/config")


@rule("annotation-unknown", FindingLevel.ERROR, "The injector ignores it silently, so what it asks for does not happen.")
def annotation_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A `dapr.io/…` annotation that Dapr does not know."""
    for pod in pods(project):
        place = pod.at("metadata", "annotations")
        for name in map(str, pod.document.mapping(*place)):
            if name.startswith(_PREFIX) and name not in known.pod_annotations():
                path = (*place, name)
                found = hit(pod.document, path, f"{name} is not an annotation of Dapr {known.version()}.", UNSURE)
                yield misspelt(found, pod.document, path, known.pod_annotations(), is_key=True)


@rule("annotation-misplaced", FindingLevel.ERROR, "The injector reads only the annotations of Pods, so the Pods start without a sidecar.")
def annotation_misplaced(project: DoctorProject) -> Iterator[Hit]:
    """Sidecar annotations on the workload instead of on its Pod template, or among the labels."""
    for pod in pods(project):
        for name in pod.document.mapping("metadata", "annotations") if pod.path else ():
            if str(name).startswith(_PREFIX):
                path = ("metadata", "annotations", name)
                mend = f"Move it to {'.'.join(map(str, pod.path))}.metadata.annotations."
                yield hit(pod.document, path, f"{name} is on the {pod.document.kind} instead of its Pods.", mend)
                break
        for name in pod.document.mapping(*pod.at("metadata", "labels")):
            if name in _ASKED and name not in pod.document.mapping(*pod.at("metadata", "annotations")):
                path = (*pod.at("metadata", "labels"), name)
                yield hit(
                    pod.document,
                    path,
                    f"{name} is among the labels.",
                    f"Move it to {'.'.join(map(str, pod.at('metadata', 'annotations')))}.",
                )


@rule("sidecar-not-enabled", FindingLevel.ERROR, "Without dapr.io/enabled the injector does not add a sidecar to the Pod.", of_lack=True)
def sidecar_not_enabled(project: DoctorProject) -> Iterator[Hit]:
    """Sidecar annotations without `dapr.io/enabled`."""
    for pod in pods(project):
        place = pod.at("metadata", "annotations")
        asked = [name for name in map(str, pod.document.mapping(*place)) if name in known.pod_annotations()]
        if asked and not annotation(pod, "dapr.io/enabled") and "dapr.io/control-plane" not in asked:
            yield hit(pod.document, place, "The Pod has Dapr annotations but no dapr.io/enabled.", 'Add dapr.io/enabled: "true".')


@rule(
    "app-id-missing",
    FindingLevel.ERROR,
    "Dapr then uses the name of the Pod's owner as the app id, which scopes, state keys and callers do not expect.",
    of_lack=True,
)
def app_id_missing(project: DoctorProject) -> Iterator[Hit]:
    """A sidecar without the annotation `dapr.io/app-id`."""
    for pod in with_sidecar(project):
        if not annotation(pod, "dapr.io/app-id"):
            yield hit(
                pod.document,
                pod.at("metadata", "annotations"),
                "The Pod has no annotation dapr.io/app-id.",
                "Add it with the name that the scopes use.",
            )


@rule("app-id-in-no-scope", FindingLevel.ERROR, "The sidecar loads none of the components.")
def app_id_in_no_scope(project: DoctorProject) -> Iterator[Hit]:
    """An app id that no component has among its scopes, although all have scopes: it is misspelt, or they name no deployed app."""
    named = {annotation(each, "dapr.io/app-id") for each in with_sidecar(project)}
    for pod in with_sidecar(project):
        name = annotation(pod, "dapr.io/app-id")
        components = project.related(pod.document, project.of_kind("Component", dapr=True))
        scopes = {scope for each in components for scope in each.scopes}
        if not name or name in scopes or not components or not all(each.scopes for each in components):
            continue
        fix = known.near(name, scopes - named)
        if fix or not scopes & named:
            mend = f"Write {fix}, or add {name} to their scopes." if fix else f"Add {name} to their scopes."
            yield hit(pod.document, pod.at("metadata", "annotations", "dapr.io/app-id"), f"No component has {name} among its scopes.", mend)


@rule("configuration-unknown", FindingLevel.ERROR, "The sidecar does not start, because it waits for that Configuration.")
def configuration_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A `dapr.io/config` annotation that names a Configuration which does not exist."""
    configurations = list(project.configurations())
    for pod in with_sidecar(project):
        named = annotation(pod, "dapr.io/config")
        names = {each.name for each in project.related(pod.document, configurations)}
        if named and names and named not in {each.name for each in configurations}:
            path = pod.at("metadata", "annotations", "dapr.io/config")
            found = hit(pod.document, path, f"No Configuration is named {named}.", f"There is {', '.join(sorted(names))}.")
            yield misspelt(found, pod.document, path, names)


@rule(
    "grace-too-short",
    FindingLevel.ERROR,
    "Kubernetes kills the Pod while calls are in progress. The calls are repeated, and their work runs twice.",
    of_lack=True,
)
def grace_too_short(project: DoctorProject) -> Iterator[Hit]:
    """A Pod whose termination grace period is not longer than the block-shutdown-duration of its sidecar."""
    for pod in with_sidecar(project):
        waits = go_duration(annotation(pod, "dapr.io/block-shutdown-duration") or "0s")
        grace = number(pod.document.get(*pod.at("spec", "terminationGracePeriodSeconds"), default=30))
        if waits is not None and grace is not None and grace <= waits.total_seconds() and waits.total_seconds() > 0:
            path = pod.at("spec", "terminationGracePeriodSeconds")
            told = f"The Pod has {grace} s to shut down, but its sidecar waits {waits.total_seconds():g} s."
            yield hit(pod.document, path, told, "Set terminationGracePeriodSeconds to ten seconds more than that.")


@rule("annotation-value", FindingLevel.ERROR, "The injector rejects the Pod or ignores the value, or the sidecar does not start.")
def annotation_value(project: DoctorProject) -> Iterator[Hit]:
    """A `dapr.io/…` annotation whose value is not a valid port, number, size, duration, boolean or keyword."""
    for pod in pods(project):
        place = pod.at("metadata", "annotations")
        for name in map(str, pod.document.mapping(*place)):
            value = annotation(pod, name)
            if value and not PLACEHOLDER.search(value) and (mend := annotationvalues.mend(name, value)):
                yield misspelt(
                    hit(pod.document, (*place, name), f"{name} is {value!r}.", mend),
                    pod.document,
                    (*place, name),
                    annotationvalues.words(name),
                )
