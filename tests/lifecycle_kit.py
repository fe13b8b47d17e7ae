"""What the tests of a run's life share: changes in short form, at seconds after noon, and runs of one and of three targets."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge import lifecycle
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Failed, Outcome, Succeeded
from bridge.run import Invocation, Run
from bridge.testing import NOON
from tests.core_kit import MINUTE, SECOND, a_run, http

DAY = timedelta(days=1)
GRACE = 30 * SECOND
BOOM = Failed("Boom", "it broke", retriable=True)
LOST = Failed("Timeout", "no answer", retriable=True, unknown=True)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def cause(event: str = "event", seconds: float = 10) -> Causation:
    return Causation(event, at(seconds), DAY)


def begun(run: Run, target: str = "main", seconds: float = 0, lease: float = 30) -> Run:
    return lifecycle.begin(run, target, now=at(seconds), until=at(seconds + lease))


def finished(
    run: Run, outcome: Outcome, target: str = "main", *, again: float | None = None, event: str = "event", seconds: float = 10
) -> Run:
    part = run.invocation(target)
    number = len(part.attempts) - 1 if part else 0
    pause = None if again is None else timedelta(seconds=again)
    return lifecycle.finish(run, target, AttemptResult(number, outcome, pause), cause(event, seconds))


def part(run: Run, target: str = "main") -> Invocation:
    found = run.invocation(target)
    assert found is not None
    return found


def three(rule: str) -> Run:
    run = a_run(http("a"), http("b"), http("c"), rule=rule)
    for target in "abc":
        run = begun(run, target)
    return run


def statuses(run: Run) -> list[str]:
    return [each.status.value for each in run.invocations]


def without_late_result(part: Invocation) -> Invocation:
    return replace(part, late_result=None)


def without_late_results(run: Run) -> Run:
    return replace(run, invocations=tuple(map(without_late_result, run.invocations)))


def done(run: Run, target: str = "main", outcome: Outcome = Succeeded.of(None)) -> Run:  # noqa: B008 - a frozen value
    run = lifecycle.begin(run, target, now=NOON, until=NOON + MINUTE)
    return lifecycle.finish(run, target, AttemptResult(0, outcome), Causation(f"event-{target}", NOON + SECOND, MINUTE))
