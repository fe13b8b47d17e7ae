"""What a policy means within the deadline of a run: the time limit of an attempt, the pause before the next one, and what a breaker counts.

The bridge applies these rules to every call, and `bridge resilience explain` and `bridge hammer` work with the same ones.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import NamedTuple

from bridge.errors import DeadlinePassed
from bridge.outcome import Failed, Outcome
from bridge.resilience.policy import Policy
from bridge.resilience.retry import Again, after_failure

#: If the time limit was cut by more than this, a call without answer does not count for the circuit breaker.
SPENT = timedelta(seconds=1)
#: A call without answer that ended by less than this before the deadline ended at the deadline.
NEARLY = timedelta(milliseconds=50)


def time_limit(policy: Policy, left: timedelta) -> timedelta:
    """The time limit of an attempt that starts `left` before the deadline."""
    return min(policy.timeout, left)


class TimeOfRun(NamedTuple):
    """How long ago the first attempt of an invocation began, and how long it is until the deadline."""

    elapsed: timedelta
    left: timedelta


def next_pause(policy: Policy, attempts_made: int, outcome: Outcome, time: TimeOfRun, rng: Random) -> timedelta | None:
    """The pause before the next attempt; None after a success, if the policy allows no more, or if it would end after the deadline."""
    if not isinstance(outcome, Failed):
        return None
    decision = after_failure(policy.retry, attempts_made, outcome, time.elapsed, rng)
    return decision.after if isinstance(decision, Again) and decision.after < time.left else None


def counts(policy: Policy, outcome: Outcome, limit: timedelta) -> bool:
    """Whether a call counts for the breaker. If the deadline cut its time limit short, a timeout says nothing about the function."""
    return not (isinstance(outcome, Failed) and outcome.unknown and limit + SPENT < policy.timeout)


def too_late(outcome: Outcome, left: timedelta) -> bool:
    """Whether an outcome means that the deadline has passed, rather than that the function failed: no answer came by then."""
    silent = isinstance(outcome, Failed) and (outcome.unknown or outcome.code == DeadlinePassed.code)
    return silent and left < NEARLY
