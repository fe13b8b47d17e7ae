"""Policies of Dapr's Resiliency: names, durations and numbers. Rules on what they add up to are in `deliveries`.

The bridge's own policy file is read by the bridge, which is stricter (`policies-invalid`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import go_duration, number
from bridge.resilience import trip

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
_BUILT_IN = ("DaprBuiltInServiceRetries", "DaprBuiltInActorRetries", "DaprBuiltInActorReminderRetries", "DaprBuiltInInitializationRetries")
IS_POLICY = re.compile(r"retr|resilien|circuit|timeout", re.IGNORECASE)  #: a middleware that nobody has, in old samples
_CODES = re.compile(r"\s*\d{1,3}\s*(-\s*\d{1,3}\s*)?")


def sidecar_policies(project: DoctorProject) -> Iterator[ConfigDocument]:
    """The policy documents that a sidecar reads: all but the bridge's own file."""
    return (each for each in project.of_kind("Resiliency", dapr=True) if each.file not in _own(project))


def _own(project: DoctorProject) -> set[object]:
    refused = {found.file for name, found in project.unreadable if name == "policies-invalid"}
    return {*project.policies, *refused}


def references(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], str, str]]:
    """Where a target names a policy: the path, the kind (timeout, retry, circuitBreaker), and the name."""
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
    "A timeout or retry of that name is silently none; for a circuit breaker daprd 1.18 ends with a panic.",
)
def policy_undefined(project: DoctorProject) -> Iterator[Hit]:
    """A target that names a policy that is not defined."""
    for document in sidecar_policies(project):
        for path, kind, name in references(document):
            defined = [str(each) for each in document.mapping("spec", "policies", _PLURALS[kind])]
            built_in = _BUILT_IN if kind == "retry" else ()
            if name not in (*defined, *built_in):
                place = f"spec.policies.{_PLURALS[kind]}"
                found = hit(document, path, f"Nothing below {place} is named {name}.", f"Define it below {place}.")
                yield misspelt(found, document, path, defined)


@rule("policy-unused", FindingLevel.WARNING, "It has no effect: no target names it, and it is none of Dapr's defaults.")
def policy_unused(project: DoctorProject) -> Iterator[Hit]:
    """A policy that nothing names, such as a default whose name is misspelt."""
    for document in sidecar_policies(project):
        used = {(kind, name) for _, kind, name in references(document)}
        for kind, plural in _PLURALS.items():
            for name in map(str, document.mapping("spec", "policies", plural)):
                if (kind, name) in used or name in _DEFAULTS or name in _BUILT_IN:
                    continue
                path: tuple[Key, ...] = ("spec", "policies", plural, name)
                found = hit(document, path, f"No target names {name}.", "Name it at a target, or remove it.")
                names = [*_DEFAULTS, *_BUILT_IN] if name.startswith("D") else []
                yield misspelt(found, document, path, names, is_key=True)


@rule("duration-invalid", FindingLevel.ERROR, "One bad duration, and Dapr drops all policies of the file with one line in its log.")
def duration_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A duration that Go does not read."""
    for document in sidecar_policies(project):
        for path, value in _durations(document):
            span = go_duration(value)
            if span is None or span.total_seconds() < 0:
                yield hit(document, path, f"{value!r} is no duration of Dapr.", "Write it like 500ms, 30s, 1m30s or 2h.")


@rule("duration-without-unit", FindingLevel.ERROR, "Dapr takes a bare number for milliseconds: a timeout of 30 ends every call.")
def duration_without_unit(project: DoctorProject) -> Iterator[Hit]:
    """A duration other than 0 that has no unit."""
    for document in sidecar_policies(project):
        for path, value in _durations(document):
            count = number(value)
            if count:
                yield hit(document, path, f"{value} means {value} ms.", f"Write {value}s or {value}ms, whichever is meant.")


def _durations(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], object]]:
    policies: tuple[Key, ...] = ("spec", "policies")
    for name, value in document.mapping(*policies, "timeouts").items():
        yield (*policies, "timeouts", name), value
    for plural, fields in (("retries", ("duration", "maxInterval")), ("circuitBreakers", ("interval", "timeout"))):
        for name in document.mapping(*policies, plural):
            for field in fields:
                value = document.get(*policies, plural, name, field)
                if value is not None:
                    yield (*policies, plural, name, field), value


@rule("retry-kind-unknown", FindingLevel.ERROR, "Dapr drops all policies of the file with one line in its log.")
def retry_kind_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A retry that is neither constant nor exponential."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            path: tuple[Key, ...] = ("spec", "policies", "retries", name, "policy")
            kind = document.get(*path)
            if kind is not None and str(kind).lower() not in ("constant", "exponential"):
                found = hit(document, path, f"{kind!r} is no kind of retry.", "Write constant or exponential.")
                yield misspelt(found, document, path, ("constant", "exponential"))


@rule("retry-field-without-effect", FindingLevel.WARNING, "The value is read and not used, so the pauses are others than it looks.")
def retry_field_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """`duration` of an exponential retry, `maxInterval` of a constant one."""
    for document in sidecar_policies(project):
        for name, policy in document.mapping("spec", "policies", "retries").items():
            kind = str(policy.get("policy", "constant")).lower() if isinstance(policy, dict) else ""
            field = {"exponential": "duration", "constant": "maxInterval"}.get(kind, "")
            if field and policy.get(field) is not None:
                path: tuple[Key, ...] = ("spec", "policies", "retries", name, field)
                mend = (
                    "An exponential one starts at 500ms: remove it." if field == "duration" else "Remove it, or write policy: exponential."
                )
                yield hit(document, path, f"{field} means nothing for a retry that is {kind}.", mend)


@rule("retry-count-invalid", FindingLevel.ERROR, "Dapr drops all policies of the file, or tries without end.")
def retry_count_invalid(project: DoctorProject) -> Iterator[Hit]:
    """`maxRetries` that is no whole number from -1 on."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            path: tuple[Key, ...] = ("spec", "policies", "retries", name, "maxRetries")
            value = document.get(*path)
            count = number(value)
            if value is not None and (count is None or count < -1 or isinstance(value, str)):
                yield hit(document, path, f"maxRetries is {value!r}.", "Write a number from 0 on, or -1 for no end.")


@rule("status-codes-invalid", FindingLevel.ERROR, "Dapr drops the policy, so nothing is tried again.")
def status_codes_invalid(project: DoctorProject) -> Iterator[Hit]:
    """`matching` with what is no list of codes and ranges."""
    bounds = {"httpStatusCodes": (100, 599), "gRPCStatusCodes": (0, 16)}
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            for field, (lowest, highest) in bounds.items():
                path: tuple[Key, ...] = ("spec", "policies", "retries", name, "matching", field)
                value = document.get(*path)
                if value is not None and not _are_codes(str(value), lowest, highest):
                    yield hit(document, path, f"{value!r} is no list of codes from {lowest} to {highest}.", "Write it like 429,500-599.")


def _are_codes(text: str, lowest: int, highest: int) -> bool:
    parts = text.split(",")
    ranges = [[int(each) for each in part.split("-")] for part in parts if _CODES.fullmatch(part)]
    return len(ranges) == len(parts) and all(lowest <= each[0] <= each[-1] <= highest for each in ranges)


@rule("trip-invalid", FindingLevel.ERROR, "Dapr drops all policies of the file with one line in its log.")
def trip_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A `trip` that is no expression in CEL over the breaker's counts."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "circuitBreakers"):
            path: tuple[Key, ...] = ("spec", "policies", "circuitBreakers", name, "trip")
            value = document.get(*path)
            try:
                trip.check(str(value or "consecutiveFailures > 5"))
            except ValueError as fault:
                yield hit(document, path, f"{fault}.", "Write it like consecutiveFailures > 5.")


@rule("built-in-too-low", FindingLevel.WARNING, "Dapr sets it back to 3.")
def built_in_too_low(project: DoctorProject) -> Iterator[Hit]:
    """A built-in retry of Dapr with fewer than three retries."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            path: tuple[Key, ...] = ("spec", "policies", "retries", name, "maxRetries")
            count = number(document.get(*path))
            if name in _BUILT_IN and count is not None and 0 <= count < 3:
                yield hit(document, path, f"{name} has maxRetries {count}.", "Write 3 or more, or name a policy of your own at the target.")


@rule("breaker-scope-missing", FindingLevel.ERROR, "Dapr drops the breaker of the actor type.")
def breaker_scope_missing(project: DoctorProject) -> Iterator[Hit]:
    """An actor with a circuit breaker and no circuitBreakerScope."""
    for document in sidecar_policies(project):
        for name, target in document.mapping("spec", "targets", "actors").items():
            if (
                isinstance(target, dict)
                and target.get("circuitBreaker")
                and target.get("circuitBreakerScope") not in ("type", "id", "both")
            ):
                path = ("spec", "targets", "actors", name)
                yield hit(document, path, f"{name} has a circuitBreaker and no circuitBreakerScope.", "Say type, id or both.")


@rule("target-component-unknown", FindingLevel.ERROR, "The policy is for a component that is not there, so the one that is meant has none.")
def target_component_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A target under `components` that no component beside it is named for."""
    for document in sidecar_policies(project):
        names = [each.name for each in project.beside(document, "Component")]
        for name in map(str, document.mapping("spec", "targets", "components")):
            if names and name not in names:
                path: tuple[Key, ...] = ("spec", "targets", "components", name)
                found = hit(document, path, f"No component is named {name}.", f"There is {', '.join(sorted(set(names)))}.")
                yield misspelt(found, document, path, names, is_key=True)


@rule("resiliency-elsewhere", FindingLevel.ERROR, "Dapr passes over it in silence: nothing is tried again.")
def resiliency_elsewhere(project: DoctorProject) -> Iterator[Hit]:
    """Retries in a Configuration: as policies, or as a middleware that does not exist."""
    for document in project.of_kind("Configuration", dapr=True):
        for field in ("policies", "targets"):
            if document.get("spec", field) is not None:
                message = f"A Configuration has no {field}."
                yield hit(document, ("spec", field), message, "Move policies and targets to a resource of kind Resiliency.")
        for pipeline in ("httpPipeline", "appHttpPipeline"):
            for index, handler in document.items("spec", pipeline, "handlers"):
                kind = str(handler.get("type", "")) if isinstance(handler, dict) else ""
                if IS_POLICY.search(kind):
                    path = ("spec", pipeline, "handlers", index)
                    yield hit(document, path, f"Dapr has no middleware {kind}.", "Write policies in a resource of kind Resiliency.")
