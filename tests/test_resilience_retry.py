"""When a failed attempt is tried again, after which pause, and how much that is at worst."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.outcome import Failed
from bridge.resilience import Again, Policy, Retry, Stop, Worst, after_failure, worst_case
from bridge.resilience.retry import MAX_ELAPSED

NONE = timedelta(0)
SECOND = timedelta(seconds=1)
CONSTANT = Retry(duration=2 * SECOND, max_retries=2)
EXPONENTIAL = Retry("exponential", max_interval=15 * SECOND, max_retries=3)


class Middle(Random):
    """Draws the middle of every range, so that pauses are what the table says."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def fault(status: int | None = 503, *, retriable: bool = True, unknown: bool = False, retry_after: timedelta | None = None) -> Failed:
    return Failed("X", "x", retriable=retriable, unknown=unknown, retry_after=retry_after, status=status)


def decide(retry: Retry | None, attempts_made: int, outcome: Failed, elapsed: timedelta = NONE) -> Stop | Again:
    return after_failure(retry, attempts_made, outcome, elapsed, Middle())


@pytest.mark.parametrize(
    ("retry", "attempts_made", "outcome", "decision"),
    [
        (None, 1, fault(), Stop()),
        (CONSTANT, 1, fault(), Again(2 * SECOND)),
        (CONSTANT, 2, fault(), Again(2 * SECOND)),
        (CONSTANT, 3, fault(), Stop()),
        (Retry(max_retries=0), 1, fault(), Stop()),
        (Retry(), 1_000_000, fault(), Again(5 * SECOND)),
        (CONSTANT, 1, fault(404, retriable=False), Stop()),
        (CONSTANT, 1, fault(429), Again(2 * SECOND)),
        (CONSTANT, 1, fault(500, retriable=False), Stop()),
        (Retry(duration=2 * SECOND, statuses=frozenset({404})), 1, fault(404, retriable=False), Again(2 * SECOND)),
        (Retry(statuses=frozenset({503})), 1, fault(500), Stop()),
        (CONSTANT, 1, fault(None), Again(2 * SECOND)),
        (CONSTANT, 1, fault(None, retriable=False, unknown=True), Again(2 * SECOND)),
        (CONSTANT, 1, fault(None, retriable=False), Stop()),
        (CONSTANT, 1, fault(retry_after=9 * SECOND), Again(9 * SECOND)),
        (CONSTANT, 1, fault(retry_after=SECOND), Again(2 * SECOND)),
        (CONSTANT, 3, fault(retry_after=SECOND), Stop()),
        (EXPONENTIAL, 4, fault(), Stop()),
    ],
)
def test_after_a_failure(retry: Retry | None, attempts_made: int, outcome: Failed, decision: Stop | Again) -> None:
    assert decide(retry, attempts_made, outcome) == decision


def test_exponential_pauses_grow_by_half_up_to_the_longest() -> None:
    pauses = [Retry("exponential", max_interval=2 * SECOND).interval(attempts_made) for attempts_made in (1, 2, 3, 4, 5, 1_000_000)]
    assert [pause.total_seconds() for pause in pauses] == [0.5, 0.75, 1.125, 1.6875, 2, 2]


def test_the_first_pause_is_not_bounded_by_the_longest_as_in_dapr() -> None:
    short = Retry("exponential", max_interval=timedelta(milliseconds=100))
    assert [short.interval(attempts_made).total_seconds() for attempts_made in (1, 2, 3)] == [0.5, 0.1, 0.1]


def test_an_exponential_policy_stops_after_fifteen_minutes() -> None:
    endless = Retry("exponential", max_interval=60 * SECOND)
    assert decide(endless, 20, fault(), MAX_ELAPSED - 60 * SECOND) == Again(60 * SECOND)
    assert decide(endless, 20, fault(), MAX_ELAPSED - 59 * SECOND) == Stop()


def test_a_constant_policy_never_stops_by_itself() -> None:
    assert decide(Retry(), 20, fault(), timedelta(days=3)) == Again(5 * SECOND)


spans = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(hours=24))
retries = st.builds(
    Retry,
    policy=st.sampled_from(["constant", "exponential"]),
    duration=spans,
    max_interval=spans,
    max_retries=st.none() | st.integers(0, 50),
)


@given(retries, st.integers(1, 10_000), spans | st.none(), st.integers())
def test_a_pause_stays_within_the_spread_of_its_interval_and_retry_after_only_lengthens_it(
    retry: Retry, attempts_made: int, retry_after: timedelta | None, seed: int
) -> None:
    decision = after_failure(retry, attempts_made, fault(retry_after=retry_after), NONE, Random(seed))
    if isinstance(decision, Again):
        interval, least = retry.interval(attempts_made), retry_after or NONE
        assert max(interval * (1 - retry.spread), least) <= decision.after <= max(interval * (1 + retry.spread), least)


@pytest.mark.parametrize(
    ("retry", "attempts", "seconds"),
    [
        (None, 1, 60),
        (Retry(max_retries=0), 1, 60),
        (CONSTANT, 3, 3 * 60 + 2 * 2),
        (EXPONENTIAL, 4, 4 * 60 + 1.5 * (0.5 + 0.75 + 1.125)),
        (Retry(), None, None),
        (Retry("exponential"), 40, 15 * 60 + 60),
    ],
)
def test_the_worst_case(retry: Retry | None, attempts: int | None, seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert worst_case(Policy(60 * SECOND, retry)) == Worst(attempts, expected)


@given(
    st.builds(
        Retry,
        policy=st.sampled_from(["constant", "exponential"]),
        duration=spans,
        max_interval=st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
        max_retries=st.none() | st.integers(0, 20),
    ),
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
    st.integers(),
)
def test_no_course_of_events_is_worse_than_the_worst_case(retry: Retry, seconds: list[int], seed: int) -> None:
    worst = worst_case(Policy(60 * SECOND, retry))
    rng, elapsed, attempts = Random(seed), NONE, 0
    while attempts < 100:
        elapsed += seconds[attempts % len(seconds)] * SECOND
        attempts += 1
        decision = after_failure(retry, attempts, fault(), elapsed, rng)
        if isinstance(decision, Stop):
            break
        elapsed += decision.after
    assert worst.attempts is None or attempts <= worst.attempts
    assert worst.duration is None or elapsed <= worst.duration
