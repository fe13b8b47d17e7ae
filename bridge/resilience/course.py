"""The course of one invocation under a policy: its attempts and pauses until it ends, as the bridge makes them, without a clock.

Whoever plays a course says what time it is and what the function answered. The decisions are those that the bridge makes for every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from bridge.outcome import Failed, Outcome
from bridge.resilience.breaker import Allowed, Breaker, BreakerRules, CircuitOpen, allow, record, withdraw
from bridge.resilience.deadline import TimeOfRun, counts, next_pause, time_limit, too_late
from bridge.resilience.policy import Policy


@dataclass(frozen=True, slots=True)
class CallDue:
    """The function is to be called now, and given up after this time."""

    limit: timedelta


@dataclass(frozen=True, slots=True)
class PauseDue:
    """Nothing is to be done before this time."""

    until: datetime


@dataclass(frozen=True, slots=True)
class CourseEnd:
    """How the run ended, as its caller sees it, and when."""

    status: Literal["Succeeded", "Failed", "TimedOut"]
    code: str
    at: datetime


class CourseBreaker:
    """The breaker of one function, which all its invocations share. Without rules it lets every call through."""

    def __init__(self, rules: BreakerRules | None) -> None:
        self._breaker = Breaker(rules) if rules is not None else None

    def ask(self, now: datetime) -> Allowed | CircuitOpen:
        """Ask for permission to make one call."""
        if self._breaker is None:
            return Allowed(0)
        decision, self._breaker = allow(self._breaker, now)
        return decision

    def tell(self, ticket: int, outcome: Outcome, now: datetime, *, counted: bool = True) -> None:
        """Tell the outcome of a call that was permitted."""
        if self._breaker is not None:
            self._breaker = record(self._breaker, ticket, outcome, now) if counted else withdraw(self._breaker, ticket, now)


class Course:
    """One invocation of an HTTP target that is the only one of its run."""

    def __init__(self, policy: Policy, breaker: CourseBreaker, began: datetime, deadline: timedelta, rng: Random) -> None:
        self._policy, self._breaker, self._rng = policy, breaker, rng
        self._not_before, self._deadline = began, began + deadline
        self._first: datetime | None = None
        self._limit, self._ticket = timedelta(0), 0
        self.attempts = 0
        self.end: CourseEnd | None = None

    def next(self, now: datetime) -> CallDue | PauseDue | CourseEnd:
        """What is due. After `CallDue` the next question is allowed only after `answered`."""
        if self.end is None and now >= self._deadline:
            self.end = CourseEnd("TimedOut", "DeadlineExceeded", self._deadline)
        if self.end is not None:
            return self.end
        if now < self._not_before:
            return PauseDue(self._not_before)
        decision = self._breaker.ask(now)
        if isinstance(decision, CircuitOpen):
            return PauseDue(min(decision.until, self._deadline))
        self._first, self._ticket = self._first or now, decision.ticket
        self._limit = time_limit(self._policy, self._deadline - now)
        self.attempts += 1
        return CallDue(self._limit)

    def answered(self, outcome: Outcome, now: datetime) -> None:
        """Take the outcome of the call that was due."""
        self._breaker.tell(self._ticket, outcome, now, counted=counts(self._policy, outcome, self._limit))
        time = TimeOfRun(elapsed=now - (self._first or now), left=self._deadline - now)
        pause = next_pause(self._policy, self.attempts, outcome, time, self._rng)
        if too_late(outcome, time.left):
            self.end = CourseEnd("TimedOut", "DeadlineExceeded", self._deadline)
        elif pause is not None:
            self._not_before = now + pause
        elif isinstance(outcome, Failed):
            self.end = CourseEnd("Failed", outcome.code, now)
        else:
            self.end = CourseEnd("Succeeded", "", now)
