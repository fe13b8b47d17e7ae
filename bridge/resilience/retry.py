"""Decides whether a failed attempt is retried, and after which pause. The numbers are Dapr's (dapr/kit `retry`, cenkalti/backoff v4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from bridge.outcome import Failed
from bridge.outcome.httpanswer import RETRIABLE_STATUSES

INITIAL_INTERVAL = timedelta(milliseconds=500)  #: the first pause of an exponential policy
MULTIPLIER = 1.5  #: each pause is longer than the previous one by this factor
SPREAD = 0.5  #: a pause is its interval, with `maxInterval` applied, plus or minus a random share of up to this
MAX_ELAPSED = timedelta(minutes=15)  #: no pause of an exponential policy ends later than this after the first attempt began
_GROWN = 64  #: after so many pauses every interval has reached its `maxInterval`


@dataclass(frozen=True, slots=True)
class Retry:
    """One of `spec.policies.retries`. `max_retries` counts attempts after the first; None is without limit."""

    policy: Literal["constant", "exponential"] = "constant"
    duration: timedelta = timedelta(seconds=5)
    max_interval: timedelta = timedelta(seconds=60)
    max_retries: int | None = None
    statuses: frozenset[int] = RETRIABLE_STATUSES

    @property
    def spread(self) -> float:
        """The share of an interval by which a pause may be shorter or longer at random."""
        return SPREAD if self.policy == "exponential" else 0.0

    def interval(self, attempts_made: int) -> timedelta:
        """The pause after so many attempts, before the random share is applied."""
        if self.policy == "constant":
            return self.duration
        if attempts_made <= 1:
            return INITIAL_INTERVAL
        return min(INITIAL_INTERVAL * MULTIPLIER ** min(attempts_made - 1, _GROWN), self.max_interval)

    def takes(self, outcome: Failed) -> bool:
        """Whether this kind of failure may be retried. No answer always may, because every retry has the same invocation id.

        A function ends the retries by saying `retriable: false`; of the statuses that a policy adds, none says that it may be retried.
        """
        if outcome.status is None:
            return outcome.retriable or outcome.unknown
        return outcome.status in self.statuses and (outcome.retriable or outcome.status not in RETRIABLE_STATUSES)


@dataclass(frozen=True, slots=True)
class Stop:
    """The failure is final."""


@dataclass(frozen=True, slots=True)
class Again:
    """Retry after this pause. The caller compares it with the deadline."""

    after: timedelta


def after_failure(retry: Retry | None, attempts_made: int, outcome: Failed, elapsed: timedelta, rng: Random) -> Stop | Again:
    """Decide after `attempts_made` attempts, the first of which began `elapsed` ago. The pause is at least `Retry-After`."""
    if retry is None or not retry.takes(outcome):
        return Stop()
    if retry.max_retries is not None and attempts_made > retry.max_retries:
        return Stop()
    pause = retry.interval(attempts_made) * (1 + retry.spread * rng.uniform(-1, 1))
    if retry.policy == "exponential" and elapsed + pause > MAX_ELAPSED:
        return Stop()
    return Again(max(pause, outcome.retry_after or timedelta(0)))
