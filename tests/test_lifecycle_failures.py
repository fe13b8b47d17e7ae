"""Deliveries of work that failed and come again: known on the attempt, and told when the run ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge import lifecycle
from bridge.outcome import Failed, Outcome, Succeeded
from bridge.redaction import MAX_MESSAGE
from bridge.run import AttemptOutcome, Run, Status
from tests.core_kit import a_run
from tests.lifecycle_kit import at, begun, cause, finished, part

THREW = Failed("ValueError", "no such column", "functions.log has the stack trace.")


def noted(run: Run, failure: Failed = THREW, seconds: float = 5) -> Run:
    return lifecycle.note_failure(run, "main", failure, now=at(seconds))


def test_a_delivery_that_failed_is_noted_and_ends_nothing() -> None:
    run = noted(lifecycle.accept(begun(a_run()), "main", 0, now=at(1)))
    (attempt,) = part(run).attempts
    assert (run.status, attempt.outcome, attempt.code) == (Status.RUNNING, AttemptOutcome.ACCEPTED, "ValueError")
    assert attempt.message == "no such column. functions.log has the stack trace."


def test_the_report_of_it_may_come_twice() -> None:
    once = noted(begun(a_run()))
    assert noted(once) == once


def test_the_last_one_counts_and_a_success_forgets_it() -> None:
    run = noted(noted(begun(a_run())), Failed("KeyError", "'price'."))
    assert part(run).attempts[0].message == "'price'."
    (attempt,) = part(finished(run, Succeeded.of(1))).attempts
    assert (attempt.outcome, attempt.code, attempt.message) == (AttemptOutcome.SUCCEEDED, None, None)


def test_a_run_that_times_out_or_is_canceled_tells_it() -> None:
    run = noted(begun(a_run()))
    for ended in (
        lifecycle.time_out(run, cause(seconds=10**6)),
        lifecycle.cancel(lifecycle.ask_cancel(run, now=at(6)), at(0) - at(0), cause()),
    ):
        message = part(ended).attempts[0].message
        assert message is not None
        assert "The last delivery failed with ValueError: no such column. functions.log has the stack trace." in message


def test_it_is_noted_on_nothing_that_has_ended_or_not_begun() -> None:
    for run in (a_run(), finished(begun(a_run()), Succeeded.of(1)), lifecycle.time_out(begun(a_run()), cause(seconds=10**6))):
        assert noted(run) is run
    run = begun(a_run())
    assert lifecycle.note_failure(run, "other", THREW, now=at(1)) is run


def with_errors(run: Run, count: int, seconds: float = 5) -> Run:
    return lifecycle.note_errors(run, "main", count, now=at(seconds))


def test_the_errors_of_the_last_delivery_are_noted_and_end_nothing() -> None:
    run = with_errors(begun(a_run()), 2)
    assert (run.status, lifecycle.errors_noted(part(run))) == (Status.RUNNING, 2)
    assert with_errors(run, 2) is run
    assert lifecycle.errors_noted(part(with_errors(run, 0))) == 0
    (attempt,) = part(finished(run, Succeeded.of(1))).attempts
    assert (attempt.outcome, attempt.errors_written) == (AttemptOutcome.SUCCEEDED, 2)


def test_errors_of_what_does_not_run_are_not_noted() -> None:
    for run in (a_run(), finished(begun(a_run()), Succeeded.of(1)), lifecycle.time_out(begun(a_run()), cause(seconds=10**6))):
        assert with_errors(run, 2) is run
    run = begun(a_run())
    assert lifecycle.note_errors(run, "other", 2, now=at(1)) is run


@pytest.mark.parametrize("outcome", [replace(Succeeded.of(1), errors_written=3), Failed("A", "a", errors_written=3)])
def test_the_errors_that_come_with_an_outcome_are_kept_with_its_attempt(outcome: Outcome) -> None:
    (attempt,) = part(finished(begun(a_run()), outcome)).attempts
    assert attempt.errors_written == 3


@pytest.mark.parametrize("length", [MAX_MESSAGE - 1, MAX_MESSAGE, 3 * MAX_MESSAGE])
def test_however_long_the_message_is_the_hint_is_kept(length: int) -> None:
    message = part(noted(begun(a_run()), Failed("A", "x" * length, "See the log."))).attempts[0].message
    assert message is not None
    assert (len(message), message[-13:]) == (MAX_MESSAGE, " See the log.")
