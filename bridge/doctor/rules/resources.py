"""What holds for every resource of Dapr: its kind, version, name, fields and scopes."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject, overlap, together

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_COMMON_FIELDS = ("apiVersion", "kind", "metadata")  #: of every resource in Kubernetes
_LONGEST = 64 * 1024  #: bytes
_ALIKE = 0.88  #: how alike two names are that one person wrote for the same
_KINDS = sorted({each.split()[1] for each in known.kinds()})


def _dapr(project: DoctorProject) -> Iterator[ConfigDocument]:
    return (each for each in project.documents if each.api.startswith("dapr.io/"))


@rule("kind-unknown", FindingLevel.ERROR, "Dapr leaves a resource out whose kind it does not know, with no word in its log.")
def kind_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A kind in Dapr's group that Dapr does not have, or a kind of Dapr in a group that it does not have."""
    for document in project.documents:
        if document.api.startswith("dapr.io/") and document.kind not in _KINDS:
            found = hit(document, ("kind",), f"{document.kind or 'nothing'} is no kind of Dapr.", f"It has {', '.join(_KINDS)}.")
            yield misspelt(found, document, ("kind",), _KINDS)
        elif document.kind in ("Component", "Resiliency", "HTTPEndpoint") and not document.api.startswith("dapr.io/"):
            yield hit(document, ("apiVersion",), f"{document.api or 'no apiVersion'} has no {document.kind}.", "Write dapr.io/v1alpha1.")


@rule("version-unknown", FindingLevel.ERROR, "Kubernetes refuses the resource, and a sidecar that reads files leaves it out.")
def version_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A version of a kind that Dapr does not serve."""
    for document in _dapr(project):
        served = [each.split()[0] for each in known.kinds() if each.endswith(f" {document.kind}")]
        if served and document.api not in served:
            fix = replacing(document.value_span("apiVersion"), served[-1])
            yield hit(document, ("apiVersion",), f"{document.kind} has no version {document.api}.", f"Write {' or '.join(served)}.", fix)


@rule("name-missing", FindingLevel.ERROR, "Nobody can refer to it, and Kubernetes refuses it.")
def name_missing(project: DoctorProject) -> Iterator[Hit]:
    """A resource without a name, or with one that Kubernetes does not take."""
    for document in _dapr(project):
        if not _NAME.fullmatch(document.name):
            told = f"{document.name!r} is no name" if document.name else "It has no metadata.name"
            yield hit(document, ("metadata", "name"), f"{told}.", "Give it a name of small letters, digits, - and .")


@rule(
    "name-collides",
    FindingLevel.ERROR,
    "Dapr takes the second for a new version of the first: one of the two is gone, at once where it reloads.",
)
def name_collides(project: DoctorProject) -> Iterator[Hit]:
    """Two resources of one kind and name that one sidecar reads, or two objects of one name in Kubernetes."""
    seen: list[ConfigDocument] = []
    for document in project.documents:
        if not document.kind or not document.name or document.kind == "Automation":
            continue
        same = [each for each in seen if (each.kind, each.name, each.namespace) == (document.kind, document.name, document.namespace)]
        near = [each for each in same if document.namespace or together(each.file, document.file)]
        first = next((each for each in near if _group(each) == _group(document)), None)
        if first is not None and not _instead(first, document):
            place = f"{first.file}, line {first.line('metadata', 'name')}"
            message = f"{document.kind} {document.name} stands in {place} too."
            yield hit(document, ("metadata", "name"), message, "Give one of them another name, or keep them in folders beside each other.")
        seen.append(document)


def _group(document: ConfigDocument) -> str:
    return document.api.rpartition("/")[0]


def _instead(one: ConfigDocument, other: ConfigDocument) -> bool:
    """Whether they are for different sidecars, read from files."""
    return one.api.startswith("dapr.io/") and not one.namespace and not overlap(one.scopes, other.scopes)


@rule(
    "field-unknown",
    FindingLevel.ERROR,
    "Kubernetes refuses it; a sidecar that reads files passes over it, so what it asks for does not happen.",
)
def field_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A field that the kind does not have."""
    for document, value, shape in _shapes(project):
        yield from _unknown(document, (), value, shape)


def _shapes(project: DoctorProject) -> Iterator[tuple[ConfigDocument, dict[str, Any], Mapping[str, Any]]]:
    """Each resource whose fields are known: the document, what stands in it of its own, and the shape that this should have."""
    for document in _dapr(project):
        shape = known.kinds().get(f"{document.api} {document.kind}")
        if isinstance(shape, Mapping):
            yield document, {name: each for name, each in document.mapping().items() if name not in _COMMON_FIELDS}, shape


def _unknown(document: ConfigDocument, path: tuple[Key, ...], value: Any, shape: Any) -> Iterator[Hit]:
    if isinstance(shape, list) and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(document, (*path, number), each, shape[0])
    if not isinstance(shape, Mapping) or not isinstance(value, Mapping):
        return
    for key, each in value.items():
        if "*" in shape or key in shape:
            yield from _unknown(document, (*path, key), each, shape.get(key, shape.get("*")))
            continue
        if document.kind == "Configuration" and path == ("spec",) and key in ("policies", "targets"):
            continue  # resiliency-elsewhere says it better
        place = (*path, key)
        told = f"{'.'.join(map(str, place))} is no field of a {document.kind}."
        found = hit(document, place, told, f"There is {', '.join(sorted(shape)) or 'none'}.")
        yield misspelt(found, document, place, shape, is_key=True)


@rule("field-shape", FindingLevel.ERROR, "Kubernetes refuses it; a sidecar that reads files drops the resource, or the part.")
def field_shape(project: DoctorProject) -> Iterator[Hit]:
    """A field that must be a list or a mapping and is none."""
    for document, value, shape in _shapes(project):
        yield from _shaped(document, (), value, shape)


def _shaped(document: ConfigDocument, path: tuple[Key, ...], value: Any, shape: Any) -> Iterator[Hit]:
    wanted = "a list" if isinstance(shape, list) else "a mapping" if isinstance(shape, Mapping) else ""
    fits = isinstance(value, list) if isinstance(shape, list) else isinstance(value, Mapping)
    if value is None or not wanted:
        return
    if not fits:
        example = "with - before each entry" if wanted == "a list" else "with a name before each value"
        yield hit(document, path, f"{'.'.join(map(str, path))} must be {wanted}.", f"Write {wanted}, {example}.")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _shaped(document, (*path, number), each, shape[0])
    else:
        for key, each in value.items():
            yield from _shaped(document, (*path, key), each, shape.get(key, shape.get("*")))


@rule("scope-misspelt", FindingLevel.ERROR, "No sidecar of that name reads the resource, and the one that is meant does not have it.")
def scope_misspelt(project: DoctorProject) -> Iterator[Hit]:
    """A scope that is nearly the app id which other resources name."""
    counts = Counter(scope for document in _dapr(project) for scope in document.scopes)
    for document in _dapr(project):
        for number, scope in enumerate(document.scopes):
            others = [name for name, count in counts.items() if count > counts[scope]]
            fix = known.near(scope, others)
            if fix is not None and abs(len(fix) - len(scope)) <= 1 and difflib.SequenceMatcher(None, scope, fix).ratio() > _ALIKE:
                span = replacing(document.value_span("scopes", number), fix)
                yield hit(document, ("scopes", number), f"Others name {fix}, and this one {scope}.", f"Write {fix}.", span)


@rule("document-too-long", FindingLevel.ERROR, "daprd 1.18 reads such a document without end, and takes memory until the machine has none.")
def document_too_long(project: DoctorProject) -> Iterator[Hit]:
    """A document of Dapr with more than 64 KiB."""
    for document in _dapr(project):
        if document.node is not None and document.node.end_mark.index - document.node.start_mark.index > _LONGEST:
            yield hit(document, (), "The document is longer than 64 KiB.", "Write several resources, each in a document of its own.")


@rule("scopes-missing", FindingLevel.WARNING, "Every sidecar of the namespace has it: any of them may read the runs or take the events.")
def scopes_missing(project: DoctorProject) -> Iterator[Hit]:
    """A component, endpoint or subscription that names no application."""
    for document in project.of_kind("Component", "HTTPEndpoint", "Subscription", dapr=True):
        kind = str(document.get("spec", "type", default=""))
        if not document.scopes and not kind.startswith(("middleware.", "nameresolution.")):
            yield hit(
                document,
                ("metadata", "name"),
                f"{document.kind} {document.name} has no scopes.",
                "Add scopes with the app ids that need it.",
            )


@rule("scopes-misplaced", FindingLevel.ERROR, "Dapr does not see them, so every sidecar has the resource.")
def scopes_misplaced(project: DoctorProject) -> Iterator[Hit]:
    """`scopes` below `spec` or `metadata`; they stand at the top."""
    for document in _dapr(project):
        for place in ("spec", "metadata"):
            if isinstance(document.get(place, "scopes"), list):
                yield hit(document, (place, "scopes"), f"scopes stand below {place}.", "Move them to the top, beside spec.")
