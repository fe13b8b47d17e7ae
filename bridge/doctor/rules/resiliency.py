"""Rules about the targets of Dapr's Resiliency: what they name, and which policies they refer to.

The contents of policies are checked in `policies`, and what they mean together with other files in `deliveries`. The bridge reads its own
policy file itself and is stricter (`policies-invalid`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject, together
from bridge.doctor.workloads import annotation, with_sidecar

_PLURALS = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}
_SCOPES = ("", "App", "Actor", "Component", "ComponentInbound", "ComponentOutbound")
_COMPONENT_KINDS = ("Pubsub", "Statestore", "Binding", "Lock", "Secretstore", "Configuration", "Crypto")
_DEFAULTS = {
    f"Default{scope}{kind}Policy"
    for scope in (
        *_SCOPES,
        *(f"{kind}{each}" for kind in _COMPONENT_KINDS for each in ("Component", "ComponentInbound", "ComponentOutbound")),
    )
    for kind in ("Retry", "Timeout", "CircuitBreaker")
}
BUILT_IN = (
    "DaprBuiltInServiceRetries",
    "DaprBuiltInActorRetries",
    "DaprBuiltInActorReminderRetries",
    "DaprBuiltInInitializationRetries",
    "DaprBuiltInActorNotFoundRetries",
)  #: retries that Dapr has of its own
_SCOPES_OF_BREAKERS = ("type", "id", "both")
IS_POLICY = re.compile(r"retr|resilien|circuit|timeout", re.IGNORECASE)  #: a middleware that nobody has, in old samples


def sidecar_policies(project: DoctorProject) -> Iterator[ConfigDocument]:
    """The Resiliency documents that a sidecar reads, which are all except the bridge's own policy file."""
    return (each for each in project.of_kind("Resiliency", dapr=True) if each.file not in _own(project))


def _own(project: DoctorProject) -> set[object]:
    refused = {found.file for name, found in project.unreadable if name == "policies-invalid"}
    return {*project.policies, *refused}


def references(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], str, str]]:
    """Each reference from a target to a policy: its path, its kind (timeout, retry, circuitBreaker), and the name of the policy."""
    targets = document.mapping("spec", "targets")
    for group in ("apps", "actors"):
        for name, target in document.mapping("spec", "targets", group).items() if targets else ():
            yield from _named(("spec", "targets", group, name), target)
    for name in document.mapping("spec", "targets", "components"):
        for way in ("inbound", "outbound"):
            path = ("spec", "targets", "components", name, way)
            yield from _named(path, document.get(*path))


def _named(path: tuple[Key, ...], target: object) -> Iterator[tuple[tuple[Key, ...], str, str]]:
    for kind in _PLURALS:
        name = target.get(kind) if isinstance(target, dict) else None
        if isinstance(name, str) and name:
            yield (*path, kind), kind, name


@rule(
    "policy-undefined",
    FindingLevel.ERROR,
    "Dapr silently applies no timeout or retry. For an undefined circuit breaker, daprd 1.18 ends with a panic.",
)
def policy_undefined(project: DoctorProject) -> Iterator[Hit]:
    """A target that names a policy that is not defined."""
    for document in sidecar_policies(project):
        for path, kind, name in references(document):
            defined = [str(each) for each in document.mapping("spec", "policies", _PLURALS[kind])]
            built_in = BUILT_IN if kind == "retry" else ()
            if name not in (*defined, *built_in):
                place = f"spec.policies.{_PLURALS[kind]}"
                found = hit(document, path, f"No policy under {place} is named {name}.", f"Define it under {place}.")
                yield misspelt(found, document, path, defined)


@rule("policy-unused", FindingLevel.WARNING, "It has no effect: no target names it, and it is not one of Dapr's default policies.")
def policy_unused(project: DoctorProject) -> Iterator[Hit]:
    """A policy that no target names, such as a default policy whose name is misspelt."""
    for document in sidecar_policies(project):
        used = {(kind, name) for _, kind, name in references(document)}
        for kind, plural in _PLURALS.items():
            for name in map(str, document.mapping("spec", "policies", plural)):
                if (kind, name) in used or name in _DEFAULTS or name in BUILT_IN:
                    continue
                path: tuple[Key, ...] = ("spec", "policies", plural, name)
                found = hit(document, path, f"No target names {name}.", "Let a target name it, or remove it.")
                names = [*_DEFAULTS, *BUILT_IN] if name.startswith("D") else []
                yield misspelt(found, document, path, names, is_key=True)


@rule("breaker-scope-missing", FindingLevel.ERROR, "Dapr ignores every policy in the file and writes only one line to its log.")
def breaker_scope_missing(project: DoctorProject) -> Iterator[Hit]:
    """An actor target with a circuit breaker whose circuitBreakerScope is missing, or is not type, id or both."""
    for document in sidecar_policies(project):
        for name, target in document.mapping("spec", "targets", "actors").items():
            scope = target.get("circuitBreakerScope") if isinstance(target, dict) and target.get("circuitBreaker") else "both"
            if scope not in _SCOPES_OF_BREAKERS:
                told = f"has the circuitBreakerScope {scope!r}" if scope else "has a circuitBreaker but no circuitBreakerScope"
                path = ("spec", "targets", "actors", name, "circuitBreakerScope")
                yield misspelt(hit(document, path, f"{name} {told}.", "Write type, id or both."), document, path, _SCOPES_OF_BREAKERS)


@rule(
    "target-app-misspelt",
    FindingLevel.ERROR,
    "The policy applies to an application that does not exist, so the application that is meant has none.",
)
def target_app_misspelt(project: DoctorProject) -> Iterator[Hit]:
    """A target under `apps` that looks like a misspelling of the app id of a workload, an endpoint or a scope."""
    for document in sidecar_policies(project):
        beside = [each for each in project.documents if each.api.startswith("dapr.io/") and together(each.file, document.file)]
        ids = {scope for each in beside for scope in each.scopes} | {each.name for each in beside if each.kind == "HTTPEndpoint"}
        workloads = {pod.document: annotation(pod, "dapr.io/app-id") for pod in with_sidecar(project)}
        ids |= {workloads[each] for each in project.related(document, workloads)}
        for name in map(str, document.mapping("spec", "targets", "apps")):
            if name not in ids and known.one_typo(name, ids):
                path: tuple[Key, ...] = ("spec", "targets", "apps", name)
                yield misspelt(hit(document, path, f"No application is named {name}.", ""), document, path, ids, is_key=True)


@rule(
    "target-component-unknown",
    FindingLevel.ERROR,
    "The policy applies to a component that does not exist, so the component that is meant has none.",
)
def target_component_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A target under `components` that is not the name of a component beside it."""
    for document in sidecar_policies(project):
        names = [each.name for each in project.beside(document, "Component")]
        for name in map(str, document.mapping("spec", "targets", "components")):
            if names and name not in names:
                path: tuple[Key, ...] = ("spec", "targets", "components", name)
                found = hit(document, path, f"No component is named {name}.", f"There is {', '.join(sorted(set(names)))}.")
                yield misspelt(found, document, path, names, is_key=True)


@rule("resiliency-elsewhere", FindingLevel.ERROR, "Dapr ignores them silently, so nothing is retried.")
def resiliency_elsewhere(project: DoctorProject) -> Iterator[Hit]:
    """Retries in a Configuration, written as policies or as a middleware that does not exist."""
    for document in project.configurations():
        for field in ("policies", "targets"):
            if document.get("spec", field) is not None:
                message = f"A Configuration has no {field}."
                yield hit(document, ("spec", field), message, "Move policies and targets to a resource of the kind Resiliency.")
        for pipeline in ("httpPipeline", "appHttpPipeline"):
            for index, handler in document.items("spec", pipeline, "handlers"):
                kind = str(handler.get("type", "")) if isinstance(handler, dict) else ""
                if IS_POLICY.search(kind):
                    path = ("spec", pipeline, "handlers", index)
                    yield hit(document, path, f"Dapr has no middleware {kind}.", "Write the policies in a resource of the kind Resiliency.")
