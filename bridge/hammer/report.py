"""All that a hammer has found: what was measured, the policy, what it comes to, and what came of trying it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.hammer.measurement import LoadStep, Measurement, quantile
from bridge.hammer.search import FoundPolicy, Goal
from bridge.hammer.simulation import RequestTally
from bridge.resilience import worst_case


@dataclass(frozen=True)
class HammerReport:
    """What was found for one app. `tried` is what came of the requests to a bridge with the policy; None if there was no policy."""

    app: str
    goal: Goal
    measured: Measurement
    found: FoundPolicy | None
    tried: RequestTally | None = None
    untried: str = ""  #: why there was a policy and it was not tried

    @property
    def agrees(self) -> bool | None:
        """Whether no request took more attempts than `bridge resilience explain` says that the policy can take; None if none was made."""
        if self.found is None or self.tried is None or not self.tried.asked:
            return None
        most = worst_case(self.found.policy).attempts
        return most is None or self.tried.most_attempts <= most

    @property
    def good(self) -> bool:
        """Whether the policy was found, and enough requests succeeded when it was tried."""
        enough = self.tried is not None and self.tried.share >= self.goal.share
        return self.found is not None and self.found.reached and enough and self.agrees is True


def as_json(report: HammerReport) -> dict[str, Any]:
    """The report for programs; times in seconds, shares from 0 to 1."""
    measured = report.measured
    return {
        "app": report.app,
        "goal": {"share": report.goal.share, "deadline": report.goal.deadline.total_seconds()},
        "steps": [_step(each) for each in measured.steps],
        "failing": {"share": measured.failing, "atMost": measured.failing_at_most, "codes": dict(measured.codes)},
        "bears": measured.highest_sound,
        "breaksAt": measured.lowest_broken.rate if measured.lowest_broken else None,
        "recovery": measured.recovery,
        "policy": _policy(report.found) if report.found is not None else None,
        "tried": _tally(report.tried) if report.tried is not None else None,
        "notTried": report.untried or None,
        "stopped": report.measured.stopped or None,
        "agrees": report.agrees,
        "good": report.good,
    }


def _step(step: LoadStep) -> dict[str, Any]:
    answered = step.answered
    return {
        "rate": step.rate,
        "calls": len(step.calls),
        "failed": step.failed,
        "hung": sum(each.hung for each in step.calls),
        "median": quantile(answered, 0.5),
        "p99": quantile(answered, 0.99),
        "broken": step.broken,
    }


def _policy(found: FoundPolicy) -> dict[str, Any]:
    policy, worst = found.policy, worst_case(found.policy)
    return {
        "timeout": policy.timeout.total_seconds(),
        "maxRetries": policy.retry.max_retries if policy.retry else 0,
        "trip": policy.breaker.trip if policy.breaker else None,
        "mostAttempts": worst.attempts,
        "worstSeconds": worst.duration.total_seconds() if worst.duration else None,
        "rate": found.rate,
        "reached": found.reached,
        "workedOut": _tally(found.usual),
        "afterSurge": _tally(found.surge) if found.surge is not None else None,
    }


def _tally(tally: RequestTally) -> dict[str, Any]:
    return {
        "requests": tally.asked,
        "succeeded": tally.succeeded,
        "share": tally.share,
        "ends": dict(tally.ends),
        "calls": tally.calls,
        "mostAttempts": tally.most_attempts,
        "p99": tally.within(0.99),
        "longest": tally.within(1.0),
    }
