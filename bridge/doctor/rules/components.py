"""Rules about components: their types and versions, and settings that Dapr reads differently from what was meant."""

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


@rule("component-type-unknown", FindingLevel.ERROR, "daprd exits with an error when it loads the component.")
def component_type_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A component type that Dapr does not have. Pluggable components are not checked."""
    for document in _components(project):
        kind, path = component_type(document), ("spec", "type")
        if kind in known.types() or _is_pluggable(document):
            continue
        if not kind:
            if not document.is_patch:
                yield hit(document, path, f"Component {document.name} has no spec.type.", "Add the type, such as state.redis.")
            continue
        message = f"Dapr {known.version()} has no component of the type {kind}."
        found = hit(
            document,
            path,
            message,
            "Correct the type. If this is a pluggable component, add the comment `# doctor: ignore component-type-unknown`.",
        )
        yield misspelt(found, document, path, known.types())


def _wants_version(project: DoctorProject, document: ConfigDocument) -> bool:
    """Whether the component needs a version, because it goes to Kubernetes or all others beside it have one. In files v1 is assumed."""
    beside = [each for each in project.beside(document, "Component") if each is not document]
    return is_deployed(project, document) or (bool(beside) and all(each.get("spec", "version") for each in beside))


def _is_pluggable(document: ConfigDocument) -> bool:
    """Whether the component is pluggable, by the annotation for its container or by its type."""
    annotations = document.mapping("metadata", "annotations")
    return "dapr.io/component-container" in annotations or "pluggable" in component_type(document)


@rule("component-version", FindingLevel.ERROR, "daprd finds no such component and exits. Kubernetes rejects a component without a version.")
def component_version(project: DoctorProject) -> Iterator[Hit]:
    """A component version that is not written like v1, that the type does not have, or that is missing where one is expected."""
    path = ("spec", "version")
    for document in _components(project):
        version, kind = document.get(*path), component_type(document)
        served = known.versions(kind)
        if version is None:
            if kind and not document.is_patch and _wants_version(project, document):
                yield hit(document, path, f"Component {document.name} has no spec.version.", "Add version: v1.")
        elif not re.fullmatch(r"v\d+(alpha\d*|beta\d*)?", str(version)):
            fix = replacing(document.value_span(*path), "v1")
            yield hit(document, path, f"{version!r} is not a component version.", "Write v1.", fix)
        elif kind in known.types() and str(version).lower() not in served:
            yield hit(document, path, f"{kind} has no version {version}.", f"Write {' or '.join(served)}.")


@rule("two-ways-in", FindingLevel.ERROR, "The component does not accept both together, and daprd exits.")
def two_ways_in(project: DoctorProject) -> Iterator[Hit]:
    """A Service Bus component with both connectionString and namespaceName."""
    for document in _components(project):
        names = {name.lower(): index for index, name in metadata(document)}
        if "servicebus" in component_type(document) and {"connectionstring", "namespacename"} <= set(names):
            place = ("spec", "metadata", names["connectionstring"])
            yield hit(
                document,
                place,
                "The component has both connectionString and namespaceName.",
                "Keep namespaceName, and assign the roles to the identity.",
            )


@rule(
    "redis-interval-unit",
    FindingLevel.ERROR,
    "The component expects a bare number of milliseconds. It ignores a value with a unit and uses the default of 15 s.",
)
def redis_interval_unit(project: DoctorProject) -> Iterator[Hit]:
    """A `redeliverInterval` with a unit on a Redis pub/sub component."""
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
                yield hit(document, place, f"{name} is {value!r}.", f'Write the number of milliseconds: "{milliseconds}".', fix)


@rule("state-store-of-actors", FindingLevel.ERROR, "daprd exits, because only one state store may hold actors.")
def two_actor_stores(project: DoctorProject) -> Iterator[Hit]:
    """Two state stores with actorStateStore for one sidecar."""
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
    "Keys begin with the app id by default, so after the app is renamed none of its runs is found.",
    of_lack=True,
)
def keys_by_app_id(project: DoctorProject) -> Iterator[Hit]:
    """A state store without keyPrefix."""
    for document in _components(project):
        if component_type(document).startswith("state.") and metadata_text(document, "keyPrefix") is None:
            yield hit(document, ("spec", "metadata"), f"{document.name} has no keyPrefix.", 'Add keyPrefix with the value "name".')


@rule("init-timeout", FindingLevel.ERROR, "daprd takes its default of 5 s in silence, or does not load the component.")
def init_timeout(project: DoctorProject) -> Iterator[Hit]:
    """A `spec.initTimeout` that is not a Go duration."""
    for document in _components(project):
        value: Any = document.get("spec", "initTimeout")
        if value is not None and (go_duration(value) is None or number(value) is not None):
            yield hit(document, ("spec", "initTimeout"), f"{value!r} is not a duration.", "Write it with its unit, like 30s or 1m.")


@rule("namespace-incomplete", FindingLevel.ERROR, "The component finds no server of that name, and daprd exits.")
def namespace_incomplete(project: DoctorProject) -> Iterator[Hit]:
    """A namespaceName of Service Bus that is not a full host name."""
    for document in _components(project):
        value = metadata_text(document, "namespaceName")
        is_azure = component_type(document).startswith(("pubsub.azure.servicebus", "bindings.azure.servicebus"))
        if is_azure and value and re.fullmatch(r"[A-Za-z0-9-]+", value):
            place = metadata_place(document, "namespaceName")
            yield hit(document, place, f"{value} is not a host name.", f"Write the full host name, such as {value}.servicebus.windows.net.")
