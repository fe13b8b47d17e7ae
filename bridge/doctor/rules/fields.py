"""Rules about the fields of Dapr, Kubernetes and KEDA resources, by the definitions of their kinds: names and types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER

_OF_EVERY_KIND = ("apiVersion", "kind", "status")
_FEW = 12  #: fields that are named, if the one that is meant is not known
#: Fields of a Subscription that its other version has.
_ROUTES = {
    "route": "Write routes: {default: PATH}, which is the field of v2alpha1.",
    "routes": "Write route: PATH, which is the field of v1alpha1, or use apiVersion dapr.io/v2alpha1.",
}
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float)}
_TOLD = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}
_MENDS = {
    "a list": "Write a list, with - before each entry.",
    "a mapping": "Write a mapping, with a name before each value.",
    "string": "Put it into quotes.",
    "boolean": "Write true or false without quotes.",
    "integer": "Write digits without quotes.",
    "number": "Write digits without quotes.",
}


@rule(
    "field-unknown",
    FindingLevel.ERROR,
    "Kubernetes rejects the resource. A sidecar that reads files ignores the field, so it has no effect "
    "(letter case does not matter there).",
)
def field_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A field that the kind does not have."""
    for document, value, shape in _shapes(project):
        yield from _unknown(document, (), value, shape)


def _shapes(project: DoctorProject) -> Iterator[tuple[ConfigDocument, dict[str, Any], Mapping[str, Any]]]:
    """Each resource whose fields are known: the document, its own fields, and the shape that they should have."""
    for document in project.documents:
        shape = known.shape_of(document.api, document.kind)
        if isinstance(shape, Mapping):
            yield document, {name: each for name, each in document.mapping().items() if name not in _OF_EVERY_KIND}, shape


def _unknown(document: ConfigDocument, path: tuple[Key, ...], value: Any, shape: Any) -> Iterator[Hit]:
    shape = known.resolved(shape)
    if isinstance(shape, list) and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(document, (*path, number), each, shape[0])
    if not isinstance(shape, Mapping) or not isinstance(value, Mapping):
        return
    for key, each in value.items():
        if "*" in shape or key in shape or str(key).startswith("$"):  # as in `$patch: delete`
            yield from _unknown(document, (*path, key), each, shape.get(key, shape.get("*")))
            continue
        if document.kind == "Configuration" and path == ("spec",) and key in ("policies", "targets"):
            continue  # resiliency-elsewhere says it better
        place = (*path, key)
        told = f"{'.'.join(map(str, place))} is not a field of {document.kind}."
        if document.kind == "Subscription" and path == ("spec",) and key in _ROUTES:
            yield hit(document, place, told, _ROUTES[key])
            continue
        if document.api.startswith("keda.sh/") and not known.perhaps(str(key), shape):
            continue  # perhaps of another version of KEDA
        found = hit(document, place, told, f"The fields are {', '.join(sorted(shape))}." if 0 < len(shape) <= _FEW else UNSURE)
        yield misspelt(found, document, place, shape, is_key=True)


@rule(
    "field-shape",
    FindingLevel.ERROR,
    "Kubernetes rejects the resource. A sidecar that reads files drops the resource, or the part with the field.",
)
def field_shape(project: DoctorProject) -> Iterator[Hit]:
    """A field of the wrong type: it must be a list, a mapping, a boolean, a number or a string."""
    for document, value, shape in _shapes(project):
        yield from _shaped(document, (), value, shape)


def _shaped(document: ConfigDocument, path: tuple[Key, ...], value: Any, shape: Any) -> Iterator[Hit]:
    shape = known.resolved(shape)
    if value is None or shape is None or _is_placeholder(value):
        return
    if isinstance(shape, str):
        is_right = isinstance(value, _TYPES[shape]) and (shape == "boolean" or not isinstance(value, bool))
        if not is_right and not _is_told_elsewhere(document, path, shape):
            yield hit(document, path, f"{'.'.join(map(str, path))} must be {_TOLD[shape]}.", _MENDS[shape])
    elif isinstance(value, str) and path[-3:-1] == ("otel", "headers"):
        return  # a sidecar that reads files takes name=value
    elif not isinstance(value, list if isinstance(shape, list) else Mapping):
        wanted = "a list" if isinstance(shape, list) else "a mapping"
        yield hit(document, path, f"{'.'.join(map(str, path))} must be {wanted}.", _MENDS[wanted])
    else:
        children = enumerate(value) if isinstance(value, list) else value.items()
        for key, each in children:
            yield from _shaped(document, (*path, key), each, shape[0] if isinstance(shape, list) else shape.get(key, shape.get("*")))


def _is_placeholder(value: Any) -> bool:
    """Whether the value is filled in later, such as `${NAME}`, or `{name}`, which YAML reads as a mapping."""
    if isinstance(value, Mapping):
        return len(value) == 1 and None in value.values()
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def _is_told_elsewhere(document: ConfigDocument, path: tuple[Key, ...], wanted: str) -> bool:
    """Whether a more specific rule reports the problem: durations, counts, the sampling rate, keywords, and values that must be text."""
    if not document.api.startswith("dapr.io/") and wanted == "string":
        return isinstance(document.get(*path), str | int | float)
    if path[:2] == ("spec", "policies"):
        return wanted == "string" or path[-1] == "maxRetries"
    if wanted == "string":
        return path[:2] in (("spec", "metadata"), ("spec", "tracing"), ("spec", "version"), ("spec", "type")) or path[-1] == "initTimeout"
    return document.kind == "Component" and path[-1] == "name"
