"""What applies to the calls of one function app, and how much that can be at worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from bridge.resilience.breaker import BreakerRules
from bridge.resilience.retry import MAX_ELAPSED, Retry

#: How long one attempt may take where the file names no timeout. Dapr would wait without end, and the deadline of the run would be all.
DEFAULT_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Policy:
    """One of `spec.targets.apps`: the limit of one attempt, its repeats, and the rules of the app's breaker."""

    timeout: timedelta = DEFAULT_TIMEOUT
    retry: Retry | None = None
    breaker: BreakerRules | None = None


@dataclass(frozen=True)
class Policies:
    """The policies of all apps."""

    by_app: Mapping[str, Policy] = field(default_factory=dict)
    otherwise: Policy = Policy()

    def for_app(self, name: str) -> Policy:
        """The policy of that app; one the file does not name has the file's defaults (`DefaultAppRetryPolicy` and so on), or no retries."""
        return self.by_app.get(name, self.otherwise)


class Worst(NamedTuple):
    """The most attempts, and the longest time from the first attempt to the end of the last; None is only bounded by the deadline."""

    attempts: int | None
    duration: timedelta | None


def worst_case(policy: Policy) -> Worst:
    """How many attempts at most, and how long at worst. An app that sends `Retry-After` can make it longer, never more."""
    if policy.retry is None:
        return Worst(1, policy.timeout)
    return Worst(_most_attempts(policy.retry), _longest(policy.retry, policy.timeout))


def _most_attempts(retry: Retry) -> int | None:
    """Attempts if each fails at once and each pause is as short as can be."""
    limit = None if retry.max_retries is None else retry.max_retries + 1
    if retry.policy == "constant":
        return limit
    attempts, elapsed = 1, timedelta(0)
    while attempts == 1 or retry.interval(attempts) < retry.max_interval:
        pause = _shortest(retry, attempts)
        if elapsed + pause > MAX_ELAPSED:
            break
        attempts, elapsed = attempts + 1, elapsed + pause
    attempts += (MAX_ELAPSED - elapsed) // _shortest(retry, attempts)
    return attempts if limit is None else min(attempts, limit)


def _shortest(retry: Retry, attempts_made: int) -> timedelta:
    return retry.interval(attempts_made) * (1 - retry.spread)


def _longest(retry: Retry, timeout: timedelta) -> timedelta | None:
    """The time if each attempt takes all of its timeout and each pause is as long as can be."""
    until_stopped = MAX_ELAPSED + timeout if retry.policy == "exponential" else None
    if retry.max_retries is None:
        return until_stopped
    total = timeout
    for attempts_made in range(1, retry.max_retries + 1):
        total += timeout + retry.interval(attempts_made) * (1 + retry.spread)
        if until_stopped is not None and total >= until_stopped:
            return until_stopped
    return total
