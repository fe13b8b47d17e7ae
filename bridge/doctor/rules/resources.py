"""What holds for every resource of Dapr: its kind, version, name, fields and scopes."""

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


@rule("kind-unknown", FindingLevel.ERROR, "Dapr leaves a resource out whose kind it does not know, with no word in its log.")
def kind_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A kind in Dapr's group that Dapr does not have, or a kind of Dapr in a group that is nearly Dapr's or none."""
    for document in project.documents:
        if document.api.startswith("dapr.io/"):
            if document.kind not in _KINDS:
                found = hit(document, ("kind",), f"{document.kind or 'nothing'} is no kind of Dapr.", f"It has {', '.join(_KINDS)}.")
                yield misspelt(found, document, ("kind",), _KINDS)
        elif document.kind in _KINDS and _is_meant_for_dapr(document):
            fix = replacing(document.value_span("apiVersion"), _DEFAULT_API) if document.kind != "Subscription" else None
            mend = f"Write {_DEFAULT_API}."
            yield hit(document, ("apiVersion",), f"{document.api or 'no apiVersion'} has no {document.kind}.", mend, fix)


def _is_meant_for_dapr(document: ConfigDocument) -> bool:
    """Whether a resource of another group is one of Dapr: others have components and configurations, too."""
    group = document.api.rpartition("/")[0]
    if group:
        return difflib.SequenceMatcher(None, group.lower(), "dapr.io").ratio() > _NEARLY
    is_versioned = document.api.startswith(("v1alpha", "v2alpha"))
    return is_versioned or (document.kind in ("Component", "Resiliency", "HTTPEndpoint") and bool(document.mapping("spec")))


@rule("version-unknown", FindingLevel.ERROR, "Kubernetes refuses the resource, and a sidecar that reads files leaves it out.")
def version_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A version of a kind that Dapr does not serve."""
    for document in _dapr(project):
        served = [each.split()[0] for each in known.kinds() if each.endswith(f" {document.kind}")]
        if served and document.api not in served:
            fix = replacing(document.value_span("apiVersion"), served[-1])
            yield hit(document, ("apiVersion",), f"{document.kind} has no version {document.api}.", f"Write {' or '.join(served)}.", fix)


@rule("name-missing", FindingLevel.ERROR, "Nobody can refer to it, or Kubernetes refuses it.")
def name_missing(project: DoctorProject) -> Iterator[Hit]:
    """A resource without a name, or with one that Kubernetes does not take. Capital letters are for sidecars that read files."""
    for document in _dapr(project):
        if (
            _NAME.fullmatch(document.name)
            or document.is_patch
            or (_CAPITALS.fullmatch(document.name) and not is_deployed(project, document))
        ):
            continue
        if document.name and PLACEHOLDER.search(document.name):
            continue
        told = f"{document.name!r} is no name for Kubernetes" if document.name else "It has no metadata.name"
        yield hit(document, ("metadata", "name"), f"{told}.", "Give it a name of small letters, digits, - and .")


@rule(
    "name-collides",
    FindingLevel.ERROR,
    "Only one of the two can be: in Kubernetes the second takes the place of the first, and a sidecar that reads files does not start.",
)
def name_collides(project: DoctorProject) -> Iterator[Hit]:
    """Two resources of one kind and name in a file, or two of Dapr that a sidecar reads from one folder."""
    seen: dict[tuple[str, ...], list[ConfigDocument]] = {}
    for document in project.documents:
        if not document.kind or not document.name or document.kind == "Automation" or document.is_patch:
            continue
        same = seen.setdefault((document.kind, document.name, document.namespace, _group(document)), [])
        first = next((each for each in same if _collide(project, each, document)), None)
        if first is not None:
            place = f"{first.file}, line {first.line('metadata', 'name')}"
            message = f"{document.kind} {document.name} stands in {place} too."
            yield hit(document, ("metadata", "name"), message, "Give one of them another name, or keep them in folders beside each other.")
        same.append(document)


def _collide(project: DoctorProject, one: ConfigDocument, other: ConfigDocument) -> bool:
    """Manifests in several files may be alternatives; Dapr reads all files of a folder, and of Configurations the ones that it is given."""
    if not one.api.startswith("dapr.io/"):
        return one.file == other.file
    if one.file.parent != other.file.parent or (not one.namespace and not overlap(one.scopes, other.scopes)):
        return False
    if one.file == other.file or one.kind != "Configuration":
        return True
    return any(annotation(pod, "dapr.io/config") == one.name for pod in pods(project))


def _group(document: ConfigDocument) -> str:
    return document.api.rpartition("/")[0]


@rule("scope-misspelt", FindingLevel.ERROR, "No sidecar of that name reads the resource, and the one that is meant does not have it.")
def scope_misspelt(project: DoctorProject) -> Iterator[Hit]:
    """A scope that is nearly the app id which other resources name."""
    counts = Counter(scope for document in _dapr(project) for scope in document.scopes)
    workloads = {pod.document: annotation(pod, "dapr.io/app-id") for pod in with_sidecar(project)}
    for document in _dapr(project):
        running = {workloads[each] for each in project.related(document, workloads)} if document.scopes else set()
        for number, scope in enumerate(document.scopes):
            others = [name for name, count in counts.items() if count > counts[scope]] if scope not in running else []
            others += [name for name in running if name in counts and scope not in running]
            if fix := known.one_typo(scope, others):
                span = replacing(document.value_span("scopes", number), fix)
                told = f"An application is named {fix}" if fix in running else f"Others name {fix}"
                yield hit(document, ("scopes", number), f"{told}, and this one {scope}.", f"Write {fix}.", span)


@rule("document-too-long", FindingLevel.ERROR, "daprd 1.18 reads such a document without end, and takes memory until the machine has none.")
def document_too_long(project: DoctorProject) -> Iterator[Hit]:
    """A document of Dapr with more than 64 KiB."""
    for document in _dapr(project):
        if document.node is not None and document.node.end_mark.index - document.node.start_mark.index > _LONGEST:
            yield hit(document, (), "The document is longer than 64 KiB.", "Write several resources, each in a document of its own.")


@rule(
    "scopes-missing",
    FindingLevel.WARNING,
    "Every sidecar of the namespace has it: any of them may read the runs or take the events.",
    of_lack=True,
)
def scopes_missing(project: DoctorProject) -> Iterator[Hit]:
    """A component, endpoint or subscription that names no application, where all others beside it do."""
    return (found for found, is_only_one in _without_scopes(project) if is_only_one)


@rule(
    "scopes-none",
    FindingLevel.ADVICE,
    "Every sidecar of the namespace has it: any of them may read its data or take its events.",
    of_lack=True,
)
def scopes_none(project: DoctorProject) -> Iterator[Hit]:
    """A component, endpoint or subscription that names no application, as others beside it do not."""
    return (found for found, is_only_one in _without_scopes(project) if not is_only_one)


def _without_scopes(project: DoctorProject) -> Iterator[tuple[Hit, bool]]:
    """The resources that every sidecar reads, each with whether it is the only such one beside others."""
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
        yield hit(document, ("metadata", "name"), told, "Add scopes with the app ids that need it."), is_only_one and not is_shared


def _is_open(document: ConfigDocument) -> bool:
    kind = str(document.get("spec", "type", default=""))
    return document.get("scopes") in (None, []) and not kind.startswith(("middleware.", "nameresolution."))


@rule("scopes-misplaced", FindingLevel.ERROR, "Dapr does not see them, so every sidecar has the resource.")
def scopes_misplaced(project: DoctorProject) -> Iterator[Hit]:
    """`scopes` below `spec` or `metadata`; they stand at the top."""
    for document in _dapr(project):
        for place in ("spec", "metadata"):
            if isinstance(document.get(place, "scopes"), list):
                yield hit(document, (place, "scopes"), f"scopes stand below {place}.", "Move them to the top, beside spec.")
