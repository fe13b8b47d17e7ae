"""Policies and what their functions do, drawn from a seed; and the one file that both daprd and the bridge read them from.

Left out is what the two are meant to do differently (docs/resilience.md, "How it is compared"): each rule stands here by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any

import yaml

#: The other 4xx: the bridge does not repeat them and no breaker counts them.
OTHER_4XX = (400, 404, 409, 422)
COUNTED_BY_BOTH = (408, 429, 500, 502, 503, 504, 599)
#: Bytes of one YAML document. A longer one makes daprd try to read it for ever, and take more memory each time.
LONGEST = 64 * 1024
MATCHING = ("429,500-599", "408,429,500-503", "500-599", "502-504", "503", "429", "408,500")


class Silence(Enum):
    """What a function does that is no answer."""

    HANGS_UP = "hangs up"
    IS_SLOW = "is slow"
    BREAKS_OFF = "breaks off in the middle of its answer"


Deed = int | Silence  #: an int is the status it answers with


@dataclass(frozen=True)
class Case:
    """One app: its policy, what its function does at each attempt (after these: 200), and the pauses before each request in seconds."""

    name: str
    deeds: Sequence[Deed] = ()
    pauses: Sequence[float] = (0.0,)
    timeout: str | None = None
    retry: dict[str, Any] | None = None
    breaker: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)  #: of each answer
    endpoint: bool = True  #: an HTTPEndpoint, as the bridge's function apps are; else the sidecar's own app


def draw(seed: int, number: int) -> Case:
    """The policy of that number, with a script for it."""
    rng = Random(f"{seed}/{number}")
    exponential = rng.random() < 0.2
    timeout = f"{rng.randint(150, 250)}ms" if rng.random() < 0.3 else None
    retry = _retry(rng, exponential) if rng.random() < 0.85 else None
    breaker = _breaker(rng, exponential) if rng.random() < 0.65 else None
    requests = 3 if exponential else rng.randint(3, 8)
    deeds = [_deed(rng, timeout, retry, breaker) for _ in range(rng.randint(2, 3 * requests))]
    pauses = [_pause(rng, breaker) for _ in range(requests)]
    return Case(f"a-{number}", deeds, pauses, timeout, retry, breaker)


def _retry(rng: Random, exponential: bool) -> dict[str, Any]:
    if exponential:
        retry: dict[str, Any] = {"policy": "exponential", "maxRetries": rng.randint(1, 3)}
        if rng.random() < 0.7:
            retry["maxInterval"] = f"{rng.randint(100, 900)}ms"
    else:
        retry = {"policy": "constant", "duration": f"{rng.randint(2, 80)}ms", "maxRetries": rng.choice([-1, 0, 1, 2, 3, 4])}
    if rng.random() < 0.7:
        retry["matching"] = {"httpStatusCodes": rng.choice(MATCHING)}
        if rng.random() < 0.2:
            retry["matching"]["gRPCStatusCodes"] = "1,14"
    return retry


def _breaker(rng: Random, exponential: bool) -> dict[str, Any]:
    # Beside the pauses of an exponential policy, which are drawn: all of them outlast the breaker, or none does.
    timeout = rng.choice([rng.randint(30, 150), 30_000]) if exponential else rng.randint(200, 400)
    breaker: dict[str, Any] = {"trip": _trip(rng), "timeout": f"{timeout}ms", "maxRequests": rng.randint(1, 3)}
    if not exponential and rng.random() < 0.35:
        breaker["interval"] = f"{rng.randint(200, 400)}ms"
    return breaker


COUNTS = ("requests", "totalSuccesses", "totalFailures", "consecutiveSuccesses", "consecutiveFailures")


def _trip(rng: Random, *, joined: bool = True) -> str:
    """An expression in CEL; simple ones are the most likely."""
    if joined and rng.random() < 0.3:
        one, other, third = (_trip(rng, joined=False) for _ in range(3))
        return rng.choice([f"!({one})", f"{one} && {other}", f"{one} || {other}", f"{one} ? {other} : {third}"])
    one, other = rng.choice(COUNTS), rng.choice(COUNTS)
    number, operator = rng.randint(1, 4), rng.choice([">", ">=", "==", "<", "!="])
    likely = f"{rng.choice(['consecutiveFailures', 'totalFailures', one])} {operator} {number}"
    return rng.choice(
        [
            *[likely] * 4,
            f"{one} {rng.choice('+-*')} {other} >= {number + 2}",
            f"double({one}) / double({other}) {rng.choice(['>=', '>'])} {rng.choice([0.5, 0.75, 1.0])}",
            f"{one} / {other} >= {number}",
            f"{one} % {number + 1} == {rng.randint(0, number)}",
            f"{one} in [{number}, {number + 2}]",
        ]
    )


def _deed(rng: Random, timeout: str | None, retry: dict[str, Any] | None, breaker: dict[str, Any] | None) -> Deed:
    matching = retry is None or "matching" in retry
    if rng.random() < 0.3:
        return 200
    # A function that never answers needs a timeout in both: without one Dapr waits for ever.
    if rng.random() < 0.2:
        return Silence.IS_SLOW if timeout and rng.random() < 0.5 else Silence.HANGS_UP
    if breaker is None and matching and rng.random() < 0.3:
        return rng.choice(OTHER_4XX)
    return rng.choice(COUNTED_BY_BOTH)


def _pause(rng: Random, breaker: dict[str, Any] | None) -> float:
    """None; or so long that what the breaker waits for has passed for certain, or has certainly not."""
    if breaker is None or rng.random() < 0.6:
        return 0.0
    milliseconds = int(breaker[rng.choice(["timeout", "interval"]) if "interval" in breaker else "timeout"].removesuffix("ms"))
    return min(milliseconds, 400) * rng.choice([0.3, 1.5]) / 1000


def write(cases: Sequence[Case], folder: Path, function_url: str) -> Path:
    """Everything daprd needs to call the apps, one HTTPEndpoint each; the path of the policy file."""
    endpoints = [_resource("HTTPEndpoint", case.name, {"baseUrl": f"{function_url}/{case.name}"}) for case in cases if case.endpoint]
    (folder / "endpoints.yaml").write_text(yaml.safe_dump_all(endpoints))
    (folder / "configuration.yaml").write_text(yaml.safe_dump(_resource("Configuration", "policies", {"tracing": {"samplingRate": "0"}})))
    policies: dict[str, dict[str, Any]] = {
        "timeouts": {case.name: case.timeout for case in cases if case.timeout},
        "retries": {case.name: case.retry for case in cases if case.retry is not None},
        "circuitBreakers": {case.name: case.breaker for case in cases if case.breaker is not None},
    }
    places = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}
    apps = {case.name: {key: case.name for key, place in places.items() if case.name in policies[place]} for case in cases}
    path = folder / "resiliency.yaml"
    text = yaml.safe_dump(_resource("Resiliency", "drawn", {"policies": policies, "targets": {"apps": apps}}), default_flow_style=True)
    assert len(text) < LONGEST, f"{len(text):,} bytes: draw fewer policies"
    path.write_text(text)
    return path


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "dapr.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
