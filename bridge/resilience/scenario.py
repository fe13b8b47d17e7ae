"""What a function may do at every attempt, and what an invocation comes to then: played as a course, at the edges of what is random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import NamedTuple

from bridge.errors import CallFailed
from bridge.outcome import Outcome
from bridge.outcome.httpanswer import classify
from bridge.ports import FunctionResponse
from bridge.resilience.course import CallDue, Course, CourseBreaker, CourseEnd, PauseDue
from bridge.resilience.policy import Policy

START = datetime(2026, 1, 1, tzinfo=UTC)  #: when every course begins
_DRAWS = 50  #: courses with random pauses, beside those with the shortest and the longest
_FEW_DRAWS = 5  #: of courses that are too long to be played to their end
_LIMIT = 1000  #: bytes of an output
NONE = timedelta(0)
MOST_ATTEMPTS = 200  #: that are played of a policy without a limit

Answer = Callable[[timedelta], tuple[Outcome, timedelta]]
"""The outcome of an attempt with this time limit, and how long it took."""


def answers(status: int) -> Answer:
    """A function that answers with this status at once."""
    return lambda _limit: (classify(FunctionResponse(status, {}, b""), _LIMIT), NONE)


def hangs(limit: timedelta) -> tuple[Outcome, timedelta]:
    """A function that never answers."""
    return classify(CallFailed("Timeout", "It gave no answer.", may_have_run=True), _LIMIT), limit


def hangs_up(_limit: timedelta) -> tuple[Outcome, timedelta]:
    """A function that closes the connection at once: a failure that every policy with retries takes."""
    return classify(CallFailed("ConnectionLost", "It hung up.", may_have_run=True), _LIMIT), NONE


class PlayedAttempt(NamedTuple):
    """When an attempt began and ended, from the start of the run."""

    began: timedelta
    ended: timedelta


class PlayedCourse(NamedTuple):
    """All attempts of one course; no end if it was given up before."""

    attempts: tuple[PlayedAttempt, ...]
    end: CourseEnd | None


@dataclass(frozen=True)
class ScenarioResult:
    """What a caller sees: the fewest and the most attempts, the ends that are possible, and after how long at the least and the most."""

    attempts: tuple[int, int]
    ends: tuple[tuple[str, str], ...]  #: pairs of status and code
    earliest: timedelta
    latest: timedelta
    cut: bool = False  #: whether a course was given up after `MOST_ATTEMPTS`: how it ends was not played


class EdgeRandom(Random):
    """Draws the lowest number each time, or the highest."""

    def __init__(self, *, highest: bool) -> None:
        super().__init__(0)
        self._highest = highest

    def uniform(self, a: float, b: float) -> float:
        """The edge of the range."""
        return b if self._highest else a


def play(policy: Policy, deadline: timedelta, answer: Answer, rng: Random) -> PlayedCourse:
    """The course of an invocation whose function does the same at each attempt."""
    attempts: list[PlayedAttempt] = []
    course, now = Course(policy, CourseBreaker(policy.breaker), START, deadline, rng), START
    while len(attempts) < MOST_ATTEMPTS:
        match course.next(now):
            case CallDue(limit):
                outcome, took = answer(limit)
                attempts.append(PlayedAttempt(now - START, now + took - START))
                now += took
                course.answered(outcome, now)
            case PauseDue(until):
                now = until
            case CourseEnd():
                break
    return PlayedCourse(tuple(attempts), course.end)


@lru_cache(maxsize=256)
def result(policy: Policy, deadline: timedelta, answer: Answer) -> ScenarioResult:
    """What a caller sees of a function that does the same at each attempt.

    Where pauses are random, the shortest ones leave room for the most attempts, and the longest ones for the fewest. If these differ, the
    deadline decides, and all that is known of the end is that it comes before it. So it is of a course that was given up.
    """
    most, fewest = (play(policy, deadline, answer, EdgeRandom(highest=highest)) for highest in (False, True))
    cut = most.end is None or fewest.end is None
    seeds = range((_FEW_DRAWS if cut else _DRAWS) if _is_random(policy) else 0)
    drawn = [play(policy, deadline, answer, Random(seed)) for seed in seeds]  # noqa: S311 - tries pauses, protects nothing
    ends = dict.fromkeys((each.end.status, each.end.code) for each in (most, fewest, *drawn) if each.end is not None)
    counted = (len(fewest.attempts), len(most.attempts))
    same = counted[0] == counted[1] and len(ends) == 1 and not cut
    earliest = _ended(most) if same else most.attempts[min(counted) - 1].ended
    return ScenarioResult((min(counted), max(counted)), tuple(ends), earliest, _ended(fewest) if same else deadline, cut)


def _ended(course: PlayedCourse) -> timedelta:
    return course.end.at - START if course.end is not None else course.attempts[-1].ended


def _is_random(policy: Policy) -> bool:
    return policy.retry is not None and policy.retry.spread > 0
