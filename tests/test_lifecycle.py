from __future__ import annotations

import msgspec
import pytest

from bridge import lifecycle
from bridge.lifecycle import AttemptResult
from bridge.outcome import Accepted, Failed, Succeeded
from bridge.run import AttemptOutcome, Progress, Status, json_value
from tests.core_kit import SECOND, a_run, http, topic
from tests.lifecycle_kit import BOOM, GRACE, LOST, at, begun, cause, finished, part, three, without_late_results

# Attempts.


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Succeeded.of(7), (AttemptOutcome.SUCCEEDED, 10_000, None, None)),
        (BOOM, (AttemptOutcome.FAILED, 10_000, "Boom", "it broke")),
        (LOST, (AttemptOutcome.UNKNOWN, 10_000, "Timeout", "no answer")),
    ],
)
def test_an_attempt_tells_how_it_went_and_how_long_it_took(outcome, shown):
    (attempt,) = part(finished(begun(a_run()), outcome)).attempts
    assert (attempt.outcome, attempt.duration_ms, attempt.code, attempt.message) == shown


def test_a_clock_that_went_back_makes_no_negative_duration():
    (attempt,) = part(finished(begun(a_run(), seconds=10), BOOM, seconds=5)).attempts
    assert attempt.duration_ms == 0


def test_a_result_without_an_attempt_still_ends_the_invocation():
    run = lifecycle.finish(a_run(topic()), "main", AttemptResult(-1, Succeeded.of(1)), cause())
    assert (run.status, run.output, part(run).attempts) == (Status.SUCCEEDED, 1, ())


def test_an_unknown_outcome_that_becomes_known_is_corrected_and_a_known_one_never_changes():
    run = finished(begun(a_run()), LOST, again=0)
    run = lifecycle.finish(run, "main", AttemptResult(0, BOOM, SECOND), cause("later", 20))
    assert part(run).attempts[0].outcome is AttemptOutcome.FAILED
    run = lifecycle.finish(run, "main", AttemptResult(0, Succeeded.of(1)), cause("last", 30))
    assert (part(run).attempts[0].outcome, run.output) == (AttemptOutcome.FAILED, 1)


# Progress.


def test_the_percent_of_a_run_is_the_mean_of_its_targets():
    run = finished(three("all"), Succeeded.of(1), "a")
    run = lifecycle.report(run, "b", percent=50, message="half", now=at(20))
    assert run.progress is not None
    assert (run.progress.percent, run.progress.message, run.updated_at) == (50, "half", at(20))


@pytest.mark.parametrize(("percent", "shown"), [(-5, 0), (250, 100), (33.333, 33.3)])
def test_a_percent_is_kept_within_its_bounds(percent, shown):
    run = lifecycle.report(begun(a_run()), "main", percent=percent, message=None, now=at(1))
    assert run.progress is not None
    assert run.progress.percent == shown


def test_a_message_alone_keeps_the_percent_and_is_cut_to_its_length():
    run = lifecycle.report(begun(a_run()), "main", percent=40, message=None, now=at(1))
    run = lifecycle.report(run, "main", percent=None, message="x" * 1000, now=at(2))
    assert run.progress is not None
    assert (run.progress.percent, run.progress.message) == (40, "x" * lifecycle.MAX_PROGRESS_MESSAGE)


def test_a_message_before_any_percent_shows_none():
    run = lifecycle.report(begun(a_run()), "main", percent=None, message="warming up", now=at(1))
    assert run.progress is not None
    assert run.progress == Progress(message="warming up")


def test_after_the_end_there_is_no_progress():
    run = finished(three("all"), Succeeded.of(1), "a")
    assert lifecycle.report(run, "a", percent=1, message="x", now=at(20)) is run
    ended = lifecycle.time_out(run, cause(seconds=120))
    assert lifecycle.report(ended, "b", percent=1, message="x", now=at(130)) is ended


def test_a_canceled_target_counts_as_ended():
    run = a_run(http("a"), http("b"))
    run = lifecycle.cancel(lifecycle.ask_cancel(begun(run, "a"), now=at(1)), GRACE, cause(seconds=1))
    run = lifecycle.report(run, "a", percent=50, message=None, now=at(2))
    assert run.progress is not None
    assert run.progress.percent == 75


def test_a_report_that_says_nothing_changes_nothing():
    run = lifecycle.report(begun(a_run()), "main", percent=None, message="warming up", now=at(1))
    assert lifecycle.report(run, "main", percent=None, message=None, now=at(2)) is run


# What comes late.


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Succeeded.of(7), {"status": "Succeeded", "receivedAt": "2026-01-31T12:02:05Z", "output": 7}),
        (BOOM, {"status": "Failed", "receivedAt": "2026-01-31T12:02:05Z", "error": {"code": "Boom", "message": "it broke"}}),
    ],
)
def test_what_comes_after_the_end_is_kept_as_late_result_and_changes_nothing_else(outcome, shown):
    ended = lifecycle.time_out(begun(a_run()), cause("deadline", 120))
    late = finished(ended, outcome, seconds=125)
    assert part(late).late_result is not None
    assert msgspec.to_builtins(part(late).late_result, enc_hook=json_value) == shown
    assert without_late_results(late) == ended


def test_the_first_late_result_stays():
    run = finished(lifecycle.time_out(begun(a_run()), cause("deadline", 120)), Succeeded.of(1), seconds=125)
    assert finished(run, Succeeded.of(2), event="other", seconds=126) is run


def test_a_repeat_of_what_ended_it_and_an_acceptance_are_no_late_results():
    run = finished(begun(a_run()), Succeeded.of(1), event="result-1")
    assert finished(run, Succeeded.of(1), event="result-1", seconds=99) is run
    assert finished(run, Accepted(), event="other") is run


def test_a_target_that_ended_before_the_run_has_a_late_result_too():
    run = finished(three("all"), BOOM, "a", event="first")
    late = finished(run, Succeeded.of(1), "a", event="second")
    assert (late.status, part(late, "a").status) == (Status.RUNNING, Status.FAILED)
    assert part(late, "a").late_result is not None


def test_an_acceptance_that_comes_late_leaves_the_next_attempt_alone():
    run = begun(finished(begun(a_run()), LOST, again=0), seconds=20)
    run = lifecycle.finish(run, "main", AttemptResult(0, Accepted()), cause("late", 25))
    assert part(run).attempts[1].outcome is AttemptOutcome.RUNNING


def test_an_acceptance_that_comes_after_the_failure_does_not_reopen_the_attempt():
    run = finished(begun(a_run()), BOOM, again=5)
    assert lifecycle.accept(run, "main", 0, now=at(11)) is run


@pytest.mark.parametrize("outcome", [Succeeded.of(1), Failed("Http400", "no")])
def test_an_ended_invocation_shows_no_attempt_as_running(outcome):
    run = begun(finished(begun(a_run()), LOST, again=0), seconds=20)
    run = lifecycle.finish(run, "main", AttemptResult(0, outcome), cause("late", 25))
    assert part(run).status.final
    assert not [attempt for attempt in part(run).attempts if attempt.outcome.open]


@pytest.mark.parametrize(
    ("run", "change"),
    [
        (lifecycle.ask_cancel(begun(a_run()), now=at(1)), lambda run: lifecycle.cancel(run, GRACE, cause(seconds=2))),
        (finished(begun(a_run()), BOOM, again=5), lambda run: finished(run, BOOM, again=5)),
    ],
    ids=["cancel within the grace", "the same failure again"],
)
def test_where_nothing_changes_the_very_same_run_comes_back(run, change):
    assert change(run) == run
    assert change(run) is run
