"""What a policy means within the deadline of a run."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from bridge.outcome import Failed, Succeeded
from bridge.resilience import Policy, Retry, TimeOfRun, counts, next_pause, time_limit, too_late

SECOND = timedelta(seconds=1)
POLICY = Policy(10 * SECOND, Retry(duration=2 * SECOND, max_retries=2))
SILENT = Failed("Timeout", "no answer", retriable=True, unknown=True)
BUSY = Failed("Http503", "busy", retriable=True, status=503)
LATE = Failed("DeadlinePassed", "the host found no time left")


@pytest.mark.parametrize(("left", "limit"), [(60, 10), (10, 10), (3, 3)])
def test_an_attempt_may_take_its_timeout_or_the_rest_of_the_run(left: float, limit: float) -> None:
    assert time_limit(POLICY, left * SECOND) == limit * SECOND


@pytest.mark.parametrize(
    ("attempts", "outcome", "left", "pause"),
    [(1, BUSY, 60, 2), (1, BUSY, 2.001, 2), (1, BUSY, 2, None), (3, BUSY, 60, None), (1, Succeeded.of(1), 60, None), (1, LATE, 60, None)],
)
def test_the_next_attempt_starts_before_the_deadline_or_not_at_all(
    attempts: int, outcome: Failed | Succeeded, left: float, pause: float | None
) -> None:
    found = next_pause(POLICY, attempts, outcome, TimeOfRun(SECOND, left * SECOND), Random(1))
    assert found == (None if pause is None else pause * SECOND)


@pytest.mark.parametrize(
    ("outcome", "limit", "counted"),
    [(SILENT, 10, True), (SILENT, 9, True), (SILENT, 8.9, False), (BUSY, 1, True), (Succeeded.of(1), 1, True)],
)
def test_a_silence_that_the_deadline_cut_short_says_nothing_of_the_function(
    outcome: Failed | Succeeded, limit: float, *, counted: bool
) -> None:
    assert counts(POLICY, outcome, limit * SECOND) is counted


@pytest.mark.parametrize(
    ("outcome", "left", "late"),
    [
        (SILENT, 0, True),
        (SILENT, 0.049, True),
        (SILENT, 0.05, False),
        (LATE, 0, True),
        (BUSY, 0, False),
        (BUSY, -1, False),
        (Succeeded.of(1), -1, False),
    ],
)
def test_only_a_silence_at_the_deadline_means_that_it_passed(outcome: Failed | Succeeded, left: float, *, late: bool) -> None:
    assert too_late(outcome, left * SECOND) is late
