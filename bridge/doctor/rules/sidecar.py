"""Rules that compare the files with what a running sidecar has loaded, according to Dapr's metadata API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import component_type


def _meant(project: DoctorProject, *kinds: str) -> Iterator[ConfigDocument]:
    """The resources that the sidecar should have loaded, according to their scopes."""
    own = str((project.sidecar or {}).get("id", ""))
    if project.sidecar is not None:
        yield from (each for each in project.of_kind(*kinds, dapr=True) if not each.scopes or own in each.scopes)


def _listed(project: DoctorProject, name: str) -> list[Mapping[str, Any]]:
    found = (project.sidecar or {}).get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


@rule(
    "sidecar-lacks-component",
    FindingLevel.ERROR,
    "The sidecar was not given the file or could not read it, or another resource has the same name.",
)
def sidecar_lacks_component(project: DoctorProject) -> Iterator[Hit]:
    """A component in the files that the running sidecar has not loaded, or has loaded with another type."""
    loaded = {str(each.get("name")): str(each.get("type")) for each in _listed(project, "components")}
    for document in _meant(project, "Component"):
        kind = component_type(document)
        if kind.startswith(("middleware.", "nameresolution.")):
            continue
        if document.name not in loaded:
            yield hit(document, ("metadata", "name"), f"The sidecar has no component {document.name}.", "Search its log for the name.")
        elif loaded[document.name] != kind:
            message = f"The sidecar has loaded {document.name} with the type {loaded[document.name]}."
            yield hit(document, ("spec", "type"), message, "Restart it with these files, or give one of the two another name.")


@rule("sidecar-lacks-subscription", FindingLevel.ERROR, "No event of the topic is delivered to the application.")
def sidecar_lacks_subscription(project: DoctorProject) -> Iterator[Hit]:
    """A subscription in the files that the running sidecar does not have."""
    loaded = {(str(each.get("pubsubname")), str(each.get("topic"))) for each in _listed(project, "subscriptions")}
    for document in _meant(project, "Subscription"):
        if (str(document.get("spec", "pubsubname")), str(document.get("spec", "topic"))) not in loaded:
            message = f"The sidecar has no subscription to {document.get('spec', 'topic')}."
            yield hit(
                document, ("metadata", "name"), message, "Start the application first, and search the log of the sidecar for the topic."
            )


@rule("sidecar-version", FindingLevel.ADVICE, "Component types and annotations may differ between the two versions.")
def sidecar_version(project: DoctorProject) -> Iterator[Hit]:
    """A running sidecar whose Dapr version is not the one that the rules describe."""
    running = str((project.sidecar or {}).get("runtimeVersion", known.version()))
    if running.split(".")[:2] != known.version().split(".")[:2] and project.documents:
        message = f"The sidecar is Dapr {running}; the rules describe {known.version()}."
        yield hit(project.documents[0], (), message, "Read what changed between the two.")
