"""What a Configuration opens and closes: calls of the sidecar, secrets, applications that may call, and preview features."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.configuration import VERBS
from bridge.doctor.values import PLACEHOLDER, component_type
from bridge.doctor.workloads import annotation, with_sidecar

_POLICIES: tuple[Key, ...] = ("spec", "accessControl", "policies")
#: The version of gRPC for each of HTTP, where a Configuration takes both.
_VERSIONS = {"v1.0": "v1", "v1.0-alpha1": "v1alpha1", "v1.0-alpha2": "v1alpha2", "v1.0-beta1": "v1beta1"}


@rule("api-unknown", FindingLevel.ERROR, "The entry matches no call: what it should allow is refused, and what it should deny is allowed.")
def api_unknown(project: DoctorProject) -> Iterator[Hit]:
    """An allowed or denied API that the sidecar does not have under that name, version and protocol."""
    for document in project.configurations():
        for group in ("allowed", "denied"):
            for number, each in document.items("spec", "api", group):
                if isinstance(each, dict):
                    yield from _call(document, ("spec", "api", group, number), each)


def _call(document: ConfigDocument, path: tuple[Key, ...], entry: dict[str, object]) -> Iterator[Hit]:
    name, version = str(entry.get("name", "")), str(entry.get("version", ""))
    is_grpc = str(entry.get("protocol", "http")).lower() == "grpc"
    calls = [each.partition(".")[::2] for each in known.calls("grpc")] if is_grpc else [(each, "") for each in known.calls("http")]
    names = sorted({each for each, _ in calls})
    if PLACEHOLDER.search(name) or PLACEHOLDER.search(version):
        return
    if name.partition("/")[0] not in names:
        found = hit(document, (*path, "name"), f"The sidecar has no API {name or 'without a name'}.", f"There is {', '.join(names)}.")
        yield misspelt(found, document, (*path, "name"), names)
        return
    served = [each for call, each in calls if call == name] if is_grpc else [*_VERSIONS, *_VERSIONS.values()]
    if version not in served:
        meant = _VERSIONS.get(version)
        fix = replacing(document.value_span(*path, "version"), meant) if meant in served and meant else None
        mend = f"Write {meant if fix else ' or '.join(served if is_grpc else _VERSIONS)}."
        yield hit(document, (*path, "version"), f"{name} has no version {version or 'that is empty'} here.", mend, fix)


@rule("access-policy-incomplete", FindingLevel.ERROR, "daprd rejects the whole access control and does not start.")
def access_policy_incomplete(project: DoctorProject) -> Iterator[Hit]:
    """An access control policy without appId, namespace or trustDomain."""
    for document in project.configurations():
        for number, policy in document.items(*_POLICIES):
            missing = [each for each in ("appId", "namespace", "trustDomain") if isinstance(policy, dict) and not policy.get(each)]
            if missing and not document.is_patch:
                yield hit(document, (*_POLICIES, number), f"The policy has no {' and no '.join(missing)}.", "Add it.")


@rule(
    "access-policy-elsewhere",
    FindingLevel.ERROR,
    "The policy matches no application, so the default action applies to the one that is meant.",
)
def access_policy_elsewhere(project: DoctorProject) -> Iterator[Hit]:
    """An access control policy for an application that runs in another namespace, or with a misspelt app id."""
    for document in project.configurations():
        workloads = {pod.document: annotation(pod, "dapr.io/app-id") for pod in with_sidecar(project)}
        ids = {workloads[each]: each for each in project.related(document, workloads)}
        for number, policy in document.items(*_POLICIES):
            name = str(policy.get("appId", "")) if isinstance(policy, dict) else ""
            named = str(policy.get("namespace", "")) if isinstance(policy, dict) else ""
            namespaces = {each.namespace for each, app in workloads.items() if app == name}
            if namespaces and all(namespaces) and named and named not in namespaces and not PLACEHOLDER.search(named):
                path = (*_POLICIES, number, "namespace")
                yield hit(
                    document, path, f"{name} runs in {' and '.join(sorted(namespaces))}, not in {named}.", f"Write {min(namespaces)}."
                )
            elif name and name not in workloads.values() and known.one_typo(name, ids):
                path = (*_POLICIES, number, "appId")
                yield misspelt(hit(document, path, f"No application is named {name}.", ""), document, path, ids)


@rule("verb-in-small-letters", FindingLevel.ERROR, "Dapr compares verbs case-sensitively: no call matches, and the default action applies.")
def verb_in_small_letters(project: DoctorProject) -> Iterator[Hit]:
    """An HTTP verb of an access control policy that is not in capital letters."""
    for document in project.configurations():
        for number, policy in document.items(*_POLICIES):
            for index, _ in document.items(*_POLICIES, number, "operations") if isinstance(policy, dict) else ():
                place = (*_POLICIES, number, "operations", index, "httpVerb")
                for each, verb in document.items(*place):
                    if isinstance(verb, str) and verb not in VERBS and verb.upper() in VERBS:
                        fix = replacing(document.value_span(*place, each), verb.upper())
                        yield hit(document, (*place, each), f"The verb is {verb}.", f"Write {verb.upper()}.", fix)


@rule("secret-scope-unknown", FindingLevel.ERROR, "The list protects no store: all secrets of the one that is meant can be read.")
def secret_scope_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A secret scope for a store that is not among the components beside it, although there are others."""
    for document in project.configurations():
        stores = [each.name for each in project.beside(document, "Component") if component_type(each).startswith("secretstores.")]
        for number, each in document.items("spec", "secrets", "scopes"):
            name = str(each.get("storeName", "")) if isinstance(each, dict) else ""
            if stores and name not in (*stores, "kubernetes") and not PLACEHOLDER.search(name):
                path = ("spec", "secrets", "scopes", number, "storeName")
                found = hit(document, path, f"No secret store is named {name}.", f"There is {', '.join(sorted(set(stores)))}.")
                yield misspelt(found, document, path, stores)


@rule("feature-unknown", FindingLevel.WARNING, "The entry has no effect: Dapr has no preview feature of that name.")
def feature_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A preview feature that this version of Dapr does not have: it has become a standard feature, or its name is misspelt."""
    for document in project.configurations():
        for number, each in document.items("spec", "features"):
            name = str(each.get("name", "")) if isinstance(each, dict) else ""
            if name and name not in known.features():
                path = ("spec", "features", number, "name")
                found = hit(document, path, f"Dapr {known.version()} has no preview feature {name}.", UNSURE)
                yield misspelt(found, document, path, known.features())
