"""The policy for the calls of one function app, and its worst case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from bridge.resilience.breaker import BreakerRules
from bridge.resilience.retry import MAX_ELAPSED, Retry

#: The time limit of one attempt if the file names no timeout. Dapr would wait for ever, so that only the deadline of the run would end it.
DEFAULT_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Policy:
    """One of `spec.targets.apps`: the time limit of an attempt, the retries, and the rules of its breakers."""

    timeout: timedelta = DEFAULT_TIMEOUT
    retry: Retry | None = None
    breaker: BreakerRules | None = None


@dataclass(frozen=True)
class Policies:
    """The policies of all apps."""

    by_app: Mapping[str, Policy] = field(default_factory=dict)
    otherwise: Policy = Policy()

    def for_app(self, name: str) -> Policy:
        """The policy of this app. An app that the file does not name has the file's defaults (`DefaultAppRetryPolicy`) or no retries."""
        return self.by_app.get(name, self.otherwise)


class Worst(NamedTuple):
    """The most attempts, and the longest time from the start of the first to the end of the last. None: only the deadline is a limit."""

    attempts: int | None
    duration: timedelta | None


def worst_case(policy: Policy) -> Worst:
    """The worst case of a policy. An app that sends `Retry-After` can make it longer, but cannot cause more attempts."""
    if policy.retry is None:
        return Worst(1, policy.timeout)
    return Worst(_most_attempts(policy.retry), _longest(policy.retry, policy.timeout))


def _most_attempts(retry: Retry) -> int | None:
    """The number of attempts if each fails at once and each pause is as short as possible."""
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
    """The time if each attempt takes all of its timeout and each pause is as long as possible."""
    until_stopped = MAX_ELAPSED + timeout if retry.policy == "exponential" else None
    if retry.max_retries is None:
        return until_stopped
    total = timeout
    for attempts_made in range(1, retry.max_retries + 1):
        total += timeout + retry.interval(attempts_made) * (1 + retry.spread)
        if until_stopped is not None and total >= until_stopped:
            return until_stopped
    return total
