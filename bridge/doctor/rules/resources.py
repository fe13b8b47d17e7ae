"""Rules for every Dapr resource: kind, version, name, size and scopes."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject, overlap, together
from bridge.doctor.values import PLACEHOLDER
from bridge.doctor.workloads import annotation, is_deployed, pods, with_sidecar

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LONGEST = 64 * 1024  #: bytes
_CAPITALS = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_DEFAULT_API = "dapr.io/v1alpha1"
_NEARLY = 0.7  #: how alike a group is that was meant for Dapr's
_KINDS = sorted({each.split()[1] for each in known.kinds()})


def _dapr(project: DoctorProject) -> Iterator[ConfigDocument]:
    return (each for each in project.documents if each.api.startswith("dapr.io/"))


@rule("kind-unknown", FindingLevel.ERROR, "Dapr ignores a resource whose kind it does not know, and logs nothing.")
def kind_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A kind that Dapr's API group does not have, or a Dapr kind whose API group is missing or misspelt."""
    for document in project.documents:
        if document.api.startswith("dapr.io/"):
            if document.kind not in _KINDS:
                told = f"{document.kind} is not a Dapr kind." if document.kind else "The resource has no kind."
                found = hit(document, ("kind",), told, f"Dapr has {', '.join(_KINDS)}.")
                yield misspelt(found, document, ("kind",), _KINDS)
        elif document.kind in _KINDS and _is_meant_for_dapr(document):
            fix = replacing(document.value_span("apiVersion"), _DEFAULT_API) if document.kind != "Subscription" else None
            told = f"{document.api} has no kind {document.kind}." if document.api else "The resource has no apiVersion."
            yield hit(document, ("apiVersion",), told, f"Write {_DEFAULT_API}.", fix)


def _is_meant_for_dapr(document: ConfigDocument) -> bool:
    """Whether a resource of another API group was meant for Dapr. Other products have components and configurations, too."""
    group = document.api.rpartition("/")[0]
    if group:
        return difflib.SequenceMatcher(None, group.lower(), "dapr.io").ratio() > _NEARLY
    is_versioned = document.api.startswith(("v1alpha", "v2alpha"))
    return is_versioned or (document.kind in ("Component", "Resiliency", "HTTPEndpoint") and bool(document.mapping("spec")))


@rule("version-unknown", FindingLevel.ERROR, "Kubernetes rejects the resource, and a sidecar that reads files ignores it.")
def version_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A Dapr kind in an API version that Dapr does not serve."""
    for document in _dapr(project):
        served = [each.split()[0] for each in known.kinds() if each.endswith(f" {document.kind}")]
        if served and document.api not in served:
            fix = replacing(document.value_span("apiVersion"), served[-1])
            yield hit(document, ("apiVersion",), f"{document.kind} has no version {document.api}.", f"Write {' or '.join(served)}.", fix)


@rule("name-missing", FindingLevel.ERROR, "Nothing can refer to the resource, or Kubernetes rejects it.")
def name_missing(project: DoctorProject) -> Iterator[Hit]:
    """A resource without a name that Kubernetes accepts. Where a sidecar reads files, capital letters are accepted."""
    for document in _dapr(project):
        if (
            _NAME.fullmatch(document.name)
            or document.is_patch
            or (_CAPITALS.fullmatch(document.name) and not is_deployed(project, document))
        ):
            continue
        if document.name and PLACEHOLDER.search(document.name):
            continue
        told = f"{document.name!r} is not a name that Kubernetes accepts" if document.name else "It has no metadata.name"
        yield hit(document, ("metadata", "name"), f"{told}.", "Use lower-case letters, digits, - and .")


@rule(
    "name-collides",
    FindingLevel.ERROR,
    "Only one of them can exist: in Kubernetes the second replaces the first, and a sidecar that reads files does not start.",
)
def name_collides(project: DoctorProject) -> Iterator[Hit]:
    """Two resources of the same kind and name in one file, or two Dapr resources in a folder that a sidecar reads."""
    seen: dict[tuple[str, ...], list[ConfigDocument]] = {}
    for document in project.documents:
        if not document.kind or not document.name or document.kind == "Automation" or document.is_patch:
            continue
        same = seen.setdefault((document.kind, document.name, document.namespace, _group(document)), [])
        first = next((each for each in same if _collide(project, each, document)), None)
        if first is not None:
            place = f"{first.file}, line {first.line('metadata', 'name')}"
            message = f"{document.kind} {document.name} is also defined in {place}."
            yield hit(
                document, ("metadata", "name"), message, "Give one of them another name, or keep them in separate folders side by side."
            )
        same.append(document)


def _collide(project: DoctorProject, one: ConfigDocument, other: ConfigDocument) -> bool:
    """Whether both resources end up in one place. Dapr reads all files of a folder, but manifests in several files may be alternatives."""
    if not one.api.startswith("dapr.io/"):
        return one.file == other.file
    if one.file.parent != other.file.parent or (not one.namespace and not overlap(one.scopes, other.scopes)):
        return False
    if one.file == other.file or one.kind != "Configuration":
        return True
    return any(annotation(pod, "dapr.io/config") == one.name for pod in pods(project))


def _group(document: ConfigDocument) -> str:
    return document.api.rpartition("/")[0]


@rule("scope-misspelt", FindingLevel.ERROR, "No sidecar has that app id, so the application that is meant does not load the resource.")
def scope_misspelt(project: DoctorProject) -> Iterator[Hit]:
    """A scope that looks like a misspelling of an app id that other resources name."""
    counts = Counter(scope for document in _dapr(project) for scope in document.scopes)
    workloads = {pod.document: annotation(pod, "dapr.io/app-id") for pod in with_sidecar(project)}
    for document in _dapr(project):
        running = {workloads[each] for each in project.related(document, workloads)} if document.scopes else set()
        for number, scope in enumerate(document.scopes):
            others = [name for name, count in counts.items() if count > counts[scope]] if scope not in running else []
            others += [name for name in running if name in counts and scope not in running]
            if fix := known.one_typo(scope, others):
                span = replacing(document.value_span("scopes", number), fix)
                told = f"An application is named {fix}" if fix in running else f"Other resources name {fix}"
                yield hit(document, ("scopes", number), f"{told}, and this one names {scope}.", f"Write {fix}.", span)


@rule(
    "document-too-long",
    FindingLevel.ERROR,
    "daprd 1.18 never finishes reading such a document, and uses memory until the machine has none left.",
)
def document_too_long(project: DoctorProject) -> Iterator[Hit]:
    """A Dapr resource of more than 64 KiB."""
    for document in _dapr(project):
        if document.node is not None and document.node.end_mark.index - document.node.start_mark.index > _LONGEST:
            yield hit(document, (), "The document is longer than 64 KiB.", "Split it into several resources, each in its own document.")


@rule(
    "scopes-missing",
    FindingLevel.WARNING,
    "Every sidecar of the namespace loads it, and any of them may read the runs or receive the events.",
    of_lack=True,
)
def scopes_missing(project: DoctorProject) -> Iterator[Hit]:
    """A component, endpoint or subscription without scopes, where all others beside it have scopes."""
    return (found for found, is_only_one in _without_scopes(project) if is_only_one)


@rule(
    "scopes-none",
    FindingLevel.ADVICE,
    "Every sidecar of the namespace loads it, and any of them may read its data or receive its events.",
    of_lack=True,
)
def scopes_none(project: DoctorProject) -> Iterator[Hit]:
    """A component, endpoint or subscription without scopes, where others beside it have none either."""
    return (found for found, is_only_one in _without_scopes(project) if not is_only_one)


def _without_scopes(project: DoctorProject) -> Iterator[tuple[Hit, bool]]:
    """The resources that every sidecar loads, each with whether it is the only such resource beside others."""
    listed = [each for each in project.of_kind("Component", "HTTPEndpoint", "Subscription", dapr=True) if not each.is_patch]
    workloads = {pod.document: annotation(pod, "dapr.io/app-id") for pod in with_sidecar(project)}
    for document in listed:
        if not _is_open(document):
            continue
        beside = [each for each in listed if together(each.file, document.file) and each is not document]
        scopes = {scope for each in beside for scope in each.scopes}
        is_only_one = bool(scopes) and not any(_is_open(each) for each in beside)
        is_shared = any(workloads[each] not in scopes for each in project.related(document, workloads))
        told = f"{document.kind} {document.name} has no scopes."
        yield (
            hit(document, ("metadata", "name"), told, "Add scopes with the app ids of the applications that need it."),
            is_only_one and not is_shared,
        )


def _is_open(document: ConfigDocument) -> bool:
    kind = str(document.get("spec", "type", default=""))
    return document.get("scopes") in (None, []) and not kind.startswith(("middleware.", "nameresolution."))


@rule("scopes-misplaced", FindingLevel.ERROR, "Dapr does not see them, so every sidecar loads the resource.")
def scopes_misplaced(project: DoctorProject) -> Iterator[Hit]:
    """`scopes` under `spec` or `metadata` instead of at the top level."""
    for document in _dapr(project):
        for place in ("spec", "metadata"):
            if isinstance(document.get(place, "scopes"), list):
                yield hit(document, (place, "scopes"), f"scopes is under {place}.", "Move it to the top level, beside spec.")
