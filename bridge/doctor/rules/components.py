"""Components: their type and version, and what Dapr reads otherwise than it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject, overlap
from bridge.doctor.values import component_type, go_duration, is_true, metadata, metadata_place, metadata_text, number
from bridge.doctor.workloads import is_deployed


def _components(project: DoctorProject) -> Iterator[ConfigDocument]:
    return project.of_kind("Component", dapr=True)


@rule("component-type-unknown", FindingLevel.ERROR, "daprd ends with an error when it loads the component.")
def component_type_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A type that no component of Dapr has; pluggable ones are left alone."""
    for document in _components(project):
        kind, path = component_type(document), ("spec", "type")
        if kind in known.types() or _is_pluggable(document):
            continue
        if not kind:
            if not document.is_patch:
                yield hit(document, path, f"Component {document.name} has no spec.type.", "Say what it is, such as state.redis.")
            continue
        message = f"Dapr {known.version()} has no component of the type {kind}."
        found = hit(document, path, message, "Correct it; if it is a pluggable component, ignore this rule in a comment.")
        yield misspelt(found, document, path, known.types())


def _wants_version(project: DoctorProject, document: ConfigDocument) -> bool:
    """Whether it goes to Kubernetes, or has lost what others beside it have; a sidecar that reads files takes v1."""
    beside = [each for each in project.beside(document, "Component") if each is not document]
    return is_deployed(project, document) or (bool(beside) and all(each.get("spec", "version") for each in beside))


def _is_pluggable(document: ConfigDocument) -> bool:
    """Whether its program is said to be another than daprd: by its container, or by its type."""
    annotations = document.mapping("metadata", "annotations")
    return "dapr.io/component-container" in annotations or "pluggable" in component_type(document)


@rule("component-version", FindingLevel.ERROR, "daprd finds no such component and ends; without a version Kubernetes refuses it.")
def component_version(project: DoctorProject) -> Iterator[Hit]:
    """A version that is not written as v1, that the type does not have, or that is missing where the others are said."""
    path = ("spec", "version")
    for document in _components(project):
        version, kind = document.get(*path), component_type(document)
        served = known.versions(kind)
        if version is None:
            if kind and not document.is_patch and _wants_version(project, document):
                yield hit(document, path, f"Component {document.name} has no spec.version.", "Add version: v1.")
        elif not re.fullmatch(r"v\d+(alpha\d*|beta\d*)?", str(version)):
            fix = replacing(document.value_span(*path), "v1")
            yield hit(document, path, f"{version!r} is no version of a component.", "Write v1.", fix)
        elif kind in known.types() and str(version).lower() not in served:
            yield hit(document, path, f"{kind} has no version {version}.", f"Write {' or '.join(served)}.")


@rule("two-ways-in", FindingLevel.ERROR, "The component refuses both together, and daprd ends.")
def two_ways_in(project: DoctorProject) -> Iterator[Hit]:
    """A Service Bus component with connectionString and namespaceName."""
    for document in _components(project):
        names = {name.lower(): index for index, name in metadata(document)}
        if "servicebus" in component_type(document) and {"connectionstring", "namespacename"} <= set(names):
            place = ("spec", "metadata", names["connectionstring"])
            yield hit(document, place, "It has connectionString and namespaceName.", "Keep namespaceName, and give the identity its roles.")


@rule(
    "redis-interval-unit",
    FindingLevel.ERROR,
    "The component reads it as bare milliseconds: with a unit it is ignored, and the default of 15 s counts.",
)
def redis_interval_unit(project: DoctorProject) -> Iterator[Hit]:
    """`redeliverInterval` of a Redis bus with a unit."""
    for document in _components(project):
        if component_type(document) != "pubsub.redis":
            continue
        for index, name in metadata(document):
            value = metadata_text(document, name) or ""
            span = go_duration(value) if name.lower() == "redeliverinterval" and not value.isdigit() else None
            if span is not None:
                place = ("spec", "metadata", index, "value")
                milliseconds = str(round(span.total_seconds() * 1000))
                fix = replacing(document.value_span(*place), f'"{milliseconds}"')
                yield hit(document, place, f"{name} is {value!r}.", f'Write the milliseconds: "{milliseconds}".', fix)


@rule("state-store-of-actors", FindingLevel.ERROR, "daprd ends: only one store may keep actors.")
def two_actor_stores(project: DoctorProject) -> Iterator[Hit]:
    """Two state stores of one sidecar with actorStateStore."""
    stores = [each for each in _components(project) if is_true(metadata_text(each, "actorStateStore"))]
    for document in stores:
        beside = [each for each in project.beside(document, "Component") if each in stores]
        others = [each for each in beside if each is document or (each.name != document.name and overlap(each.scopes, document.scopes))]
        if others and others[0] is not document:
            yield hit(
                document,
                ("metadata", "name"),
                f"{document.name} and {others[0].name} both have actorStateStore.",
                "Keep it in one of them.",
            )


@rule(
    "keys-by-app-id",
    FindingLevel.ADVICE,
    "Keys begin with the app id by default: whoever renames the app finds no run again.",
    of_lack=True,
)
def keys_by_app_id(project: DoctorProject) -> Iterator[Hit]:
    """A state store without keyPrefix."""
    for document in _components(project):
        if component_type(document).startswith("state.") and metadata_text(document, "keyPrefix") is None:
            yield hit(document, ("spec", "metadata"), f"{document.name} has no keyPrefix.", 'Add keyPrefix with the value "name".')


@rule("init-timeout", FindingLevel.ERROR, "daprd takes its default of 5 s in silence, or does not load the component.")
def init_timeout(project: DoctorProject) -> Iterator[Hit]:
    """`spec.initTimeout` that is no duration of Go."""
    for document in _components(project):
        value: Any = document.get("spec", "initTimeout")
        if value is not None and (go_duration(value) is None or number(value) is not None):
            yield hit(document, ("spec", "initTimeout"), f"{value!r} is no duration.", "Write it with its unit, like 30s or 1m.")


@rule("namespace-incomplete", FindingLevel.ERROR, "The component finds no server of that name, and daprd ends.")
def namespace_incomplete(project: DoctorProject) -> Iterator[Hit]:
    """A namespaceName of Service Bus or Event Hubs that is not the whole name of a host."""
    for document in _components(project):
        value = metadata_text(document, "namespaceName")
        is_azure = component_type(document).startswith(("pubsub.azure.servicebus", "bindings.azure.servicebus"))
        if is_azure and value and re.fullmatch(r"[A-Za-z0-9-]+", value):
            place = metadata_place(document, "namespaceName")
            yield hit(document, place, f"{value} is no host.", f"Write the whole name, such as {value}.servicebus.windows.net.")
