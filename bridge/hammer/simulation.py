"""Works out what becomes of requests under a policy, with a function that answers as the measured one did: from a seed, without waiting."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from random import Random

from bridge.errors import CallFailed
from bridge.hammer.measurement import MeasuredCall, Measurement, quantile
from bridge.outcome import Outcome
from bridge.outcome.httpanswer import classify
from bridge.ports import FunctionResponse
from bridge.resilience import Policy
from bridge.resilience.course import CallDue, Course, CourseBreaker, CourseEnd, PauseDue

START = datetime(2026, 1, 1, tzinfo=UTC)
_LIMIT = 1000  #: bytes of an output
_WINDOW = timedelta(seconds=1)

Answerer = Callable[[datetime, timedelta], tuple[Outcome, timedelta]]
"""The outcome of a call that begins then and is given up after so long, and how long it took."""


@dataclass
class RequestTally:
    """What became of requests: statuses, attempts of each, calls of all, and the seconds until each one that succeeded had ended."""

    ends: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    succeeded_after: Counter[int] = field(default_factory=Counter)  #: by the number of attempts
    seconds: list[float] = field(default_factory=list)

    def add(self, status: str, attempts: int, seconds: float) -> None:
        """Count one request that has ended."""
        self.ends[status] += 1
        self.attempts[attempts] += 1
        if status == "Succeeded":
            self.succeeded_after[attempts] += 1
            self.seconds.append(seconds)

    @property
    def asked(self) -> int:
        """The number of requests."""
        return self.ends.total()

    @property
    def succeeded(self) -> int:
        """How many succeeded before their deadline."""
        return self.ends["Succeeded"]

    @property
    def share(self) -> float:
        """The share that succeeded."""
        return self.succeeded / max(self.asked, 1)

    @property
    def calls(self) -> int:
        """How often the function was called."""
        return sum(attempts * number for attempts, number in self.attempts.items())

    @property
    def most_attempts(self) -> int:
        """The attempts of the request that had the most."""
        return max(self.attempts, default=0)

    def within(self, share: float) -> float:
        """The seconds after which this share of the successes had ended."""
        return quantile(sorted(self.seconds), share)

    def cumulated(self) -> list[float]:
        """The share of requests that had succeeded with one attempt, with two, and so on."""
        known = [self.succeeded_after[number] for number in range(1, self.most_attempts + 1)]
        return [sum(known[: number + 1]) / max(self.asked, 1) for number in range(len(known))]


class MeasuredFunction:
    """A function that answers as the measured one did: at rates that it bears, and at the lowest one at which it broke.

    `cautious`: failures are as frequent as the upper bound says.
    """

    def __init__(self, measured: Measurement, seed: int, *, cautious: bool) -> None:
        self._rng = Random(seed)  # noqa: S311 - draws measured calls, protects nothing
        calls = measured.usual
        self._failures, self._answers = [each for each in calls if each.code], [each for each in calls if not each.code]
        self._failing = measured.failing_at_most if cautious and self._failures else measured.failing
        broken = measured.lowest_broken
        self._broken, self._bears = broken.calls if broken else [], measured.highest_sound
        self._recent: deque[datetime] = deque()

    def answer(self, now: datetime, limit: timedelta) -> tuple[Outcome, timedelta]:
        """What a call that begins now comes to."""
        self._recent.append(now)
        while self._recent[0] <= now - _WINDOW:
            self._recent.popleft()
        call = self._drawn()
        took = timedelta(seconds=call.seconds)
        if call.hung or took >= limit:
            return _outcome("Timeout", None), limit
        return _outcome(call.code, call.status), took

    def _drawn(self) -> MeasuredCall:
        if self._broken and len(self._recent) > self._bears:
            return self._rng.choice(self._broken)
        fails = self._rng.random() < self._failing
        return self._rng.choice((self._failures if fails else self._answers) or self._failures or self._answers)


@lru_cache(maxsize=1024)
def _outcome(code: str, status: int | None) -> Outcome:
    """The outcome of a call that was answered with a status, or of one that failed so."""
    answer = CallFailed(code, "no answer", may_have_run=True) if status is None else FunctionResponse(status, {}, b"")
    return classify(answer, _LIMIT)


@dataclass(frozen=True)
class Conditions:
    """The deadline of each request, and how many calls may be under way at a time (`concurrency` of the catalogue)."""

    deadline: timedelta
    room: int = 20
    seed: int = 1


class Simulation:
    """The requests of one function under one policy."""

    def __init__(self, policy: Policy, answer: Answerer, conditions: Conditions) -> None:
        self._policy, self._answer, self._conditions = policy, answer, conditions
        self._breaker, self._rng = CourseBreaker(policy.breaker), Random(conditions.seed)  # noqa: S311 - spreads pauses, protects nothing
        self._due: list[tuple[datetime, int, Course, Outcome | None]] = []
        self._order, self._under_way = count(), 0
        self._waiting: deque[Course] = deque()
        self._began: dict[Course, datetime] = {}
        self.tally = RequestTally()

    def run(self, arrivals: Sequence[float]) -> RequestTally:
        """What becomes of requests that arrive at these times, in seconds."""
        for seconds in arrivals:
            at = START + timedelta(seconds=seconds)
            course = Course(self._policy, self._breaker, at, self._conditions.deadline, self._rng)
            self._began[course] = at
            self._at(at, course)
        while self._due:
            now, _, course, outcome = heapq.heappop(self._due)
            if outcome is not None:
                self._under_way -= 1
                course.answered(outcome, now)
            self._advance(course, now)
        return self.tally

    def _at(self, when: datetime, course: Course, outcome: Outcome | None = None) -> None:
        heapq.heappush(self._due, (when, next(self._order), course, outcome))

    def _advance(self, course: Course, now: datetime) -> None:
        if course.end is None and self._under_way >= self._conditions.room:
            self._waiting.append(course)
            return
        match course.next(now):
            case CallDue(limit):
                self._under_way += 1
                outcome, took = self._answer(now, limit)
                self._at(now + took, course, outcome)
            case PauseDue(until):
                self._at(until, course)
                self._hand_on(now)
            case CourseEnd(status, _, at):
                self.tally.add(status, course.attempts, (at - self._began[course]).total_seconds())
                self._hand_on(now)

    def _hand_on(self, now: datetime) -> None:
        """Wake the next one that waits, if there is a free place: also by those that were woken and then had no call to make."""
        if self._waiting and self._under_way < self._conditions.room:
            self._at(now, self._waiting.popleft())
