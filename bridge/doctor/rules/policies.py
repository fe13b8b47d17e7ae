"""Rules about the policies of Dapr's Resiliency: durations, counts, status codes and expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.resiliency import BUILT_IN, sidecar_policies
from bridge.doctor.values import go_duration, number
from bridge.resilience import trip

_CODES = re.compile(r"\s*\d{1,3}\s*(-\s*\d{1,3}\s*)?")


@rule(
    "duration-invalid",
    FindingLevel.ERROR,
    "Because of one invalid duration, Dapr ignores every policy in the file and writes only one line to its log.",
)
def duration_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A duration that Go cannot parse."""
    for document in sidecar_policies(project):
        for path, value in _durations(document):
            span = go_duration(value)
            if span is None or span.total_seconds() < 0:
                yield hit(document, path, f"{value!r} is not a valid duration.", "Write it like 500ms, 30s, 1m30s or 2h.")


@rule(
    "duration-without-unit", FindingLevel.ERROR, "Dapr reads a bare number as milliseconds, so a timeout of 30 ends every call after 30 ms."
)
def duration_without_unit(project: DoctorProject) -> Iterator[Hit]:
    """A duration other than 0 that has no unit."""
    for document in sidecar_policies(project):
        for path, value in _durations(document):
            count = number(value)
            if count:
                yield hit(document, path, f"Dapr reads {value} as {value} ms.", f"Write {value}s or {value}ms, whichever you mean.")


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


@rule("retry-kind-unknown", FindingLevel.ERROR, "Dapr ignores every policy in the file and writes only one line to its log.")
def retry_kind_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A retry policy that is neither constant nor exponential."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            path: tuple[Key, ...] = ("spec", "policies", "retries", name, "policy")
            kind = document.get(*path)
            if kind is not None and str(kind).lower() not in ("constant", "exponential"):
                found = hit(document, path, f"{kind!r} is not a retry policy.", "Write constant or exponential.")
                yield misspelt(found, document, path, ("constant", "exponential"))


@rule(
    "retry-field-without-effect",
    FindingLevel.WARNING,
    "Dapr reads the value but does not use it, so the pauses differ from what the file suggests.",
)
def retry_field_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """A `duration` of an exponential retry, or a `maxInterval` of a constant one."""
    for document in sidecar_policies(project):
        for name, policy in document.mapping("spec", "policies", "retries").items():
            kind = str(policy.get("policy", "constant")).lower() if isinstance(policy, dict) else ""
            field = {"exponential": "duration", "constant": "maxInterval"}.get(kind, "")
            if field and policy.get(field) is not None:
                path: tuple[Key, ...] = ("spec", "policies", "retries", name, field)
                mend = (
                    "Remove it; an exponential retry always starts at 500ms."
                    if field == "duration"
                    else "Remove it, or write policy: exponential."
                )
                yield hit(document, path, f"{field} has no effect on a retry that is {kind}.", mend)


@rule("retry-count-invalid", FindingLevel.ERROR, "Dapr ignores every policy in the file, or retries without end.")
def retry_count_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A `maxRetries` that is not a whole number of -1 or more."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            path: tuple[Key, ...] = ("spec", "policies", "retries", name, "maxRetries")
            value = document.get(*path)
            count = number(value)
            if value is not None and (count is None or count < -1 or isinstance(value, str)):
                yield hit(document, path, f"maxRetries is {value!r}.", "Write 0 or more, or -1 for retries without end.")


@rule("status-codes-invalid", FindingLevel.ERROR, "Dapr drops the policy, so nothing is retried.")
def status_codes_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A `matching` field that is not a list of status codes and ranges."""
    bounds = {"httpStatusCodes": (100, 599), "gRPCStatusCodes": (0, 16)}
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            for field, (lowest, highest) in bounds.items():
                path: tuple[Key, ...] = ("spec", "policies", "retries", name, "matching", field)
                value = document.get(*path)
                if value is not None and not _are_codes(str(value), lowest, highest):
                    yield hit(document, path, f"{value!r} is not a list of codes from {lowest} to {highest}.", "Write it like 429,500-599.")


def _are_codes(text: str, lowest: int, highest: int) -> bool:
    parts = text.split(",")
    ranges = [[int(each) for each in part.split("-")] for part in parts if _CODES.fullmatch(part)]
    return len(ranges) == len(parts) and all(lowest <= each[0] <= each[-1] <= highest for each in ranges)


@rule("trip-invalid", FindingLevel.ERROR, "Dapr ignores every policy in the file and writes only one line to its log.")
def trip_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A `trip` that is not a CEL expression over the counters of the circuit breaker."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "circuitBreakers"):
            path: tuple[Key, ...] = ("spec", "policies", "circuitBreakers", name, "trip")
            value = document.get(*path)
            try:
                trip.check(str(value or "consecutiveFailures > 5"))
            except ValueError as fault:
                yield hit(document, path, f"{fault}.", "Write it like consecutiveFailures > 5.")


@rule("built-in-too-low", FindingLevel.WARNING, "Dapr raises the number to 3.")
def built_in_too_low(project: DoctorProject) -> Iterator[Hit]:
    """A built-in retry policy of Dapr with fewer than three retries."""
    for document in sidecar_policies(project):
        for name in document.mapping("spec", "policies", "retries"):
            path: tuple[Key, ...] = ("spec", "policies", "retries", name, "maxRetries")
            count = number(document.get(*path))
            if name in BUILT_IN and count is not None and 0 <= count < 3:
                yield hit(
                    document, path, f"{name} has maxRetries {count}.", "Write 3 or more, or let the target name a policy of your own."
                )
