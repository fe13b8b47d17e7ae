"""Rules about places where Kubernetes accepts only strings, so that a number or boolean must be in quotes."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.workloads import pods

Place = tuple[ConfigDocument, tuple[Key, ...]]
_TEMPLATES: tuple[tuple[Key, ...], ...] = (
    ("metadata",),
    ("spec", "template", "metadata"),
    ("spec", "jobTemplate", "spec", "template", "metadata"),
)


@rule("text-expected", FindingLevel.ERROR, "Kubernetes rejects the resource, because the value must be a string.")
def text_expected(project: DoctorProject) -> Iterator[Hit]:
    """A number or boolean without quotes in an annotation, label, variable, data entry, or the metadata of a subscription or trigger."""
    for document, place in _places(project):
        value = document.get(*place)
        if isinstance(value, bool | int | float):
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            span = document.value_span(*place)
            if span is not None and document.text[slice(*span)].lower() != shown:
                shown = document.text[slice(*span)]
            yield hit(
                document, place, f"{_name(document, place)} is {shown} without quotes.", f'Write "{shown}".', replacing(span, f'"{shown}"')
            )


def _name(document: ConfigDocument, place: tuple[Key, ...]) -> Key:
    return str(document.get(*place[:-1], "name", default=place[-1])) if place[-1] == "value" else place[-1]


def _places(project: DoctorProject) -> Iterator[Place]:
    for document in project.documents:
        if document.kind and document.api:
            for path in (*_maps(document), *_selectors(document)):
                yield from ((document, (*path, name)) for name in document.mapping(*path))
    for pod in pods(project):
        for path, _ in pod.containers():
            yield from ((pod.document, (*path, "env", index, "value")) for index, _ in pod.document.items(*path, "env"))


def _maps(document: ConfigDocument) -> Iterator[tuple[Key, ...]]:
    """The mappings of a resource whose values must be strings."""
    yield from ((*path, group) for path in _TEMPLATES for group in ("annotations", "labels"))
    if document.kind == "Subscription" and document.api.startswith("dapr.io/"):
        yield ("spec", "metadata")
    if document.kind in ("ConfigMap", "Secret") and document.api == "v1":
        yield from (("data",), ("stringData",))
    if document.api.startswith("keda.sh/"):
        yield from (("spec", "triggers", index, "metadata") for index, _ in document.items("spec", "triggers"))


def _selectors(document: ConfigDocument) -> Iterator[tuple[Key, ...]]:
    if document.api in ("apps/v1", "policy/v1"):
        yield ("spec", "selector", "matchLabels")
    if document.kind == "Service" and document.api == "v1":
        yield ("spec", "selector")
