from __future__ import annotations

import pytest

from bridge import lifecycle
from bridge.outcome import Failed, Succeeded
from bridge.run import AttemptOutcome, RunError, Status
from tests.core_kit import a_run, http
from tests.lifecycle_kit import BOOM, DAY, GRACE, LOST, at, begun, cause, finished, part, statuses, three

# The end.


def test_a_success_ends_the_run_with_its_output_and_retention():
    run = finished(begun(a_run()), Succeeded.of({"a": 1}))
    assert (run.status, run.output, run.expires_at, run.control.ended_by) == (Status.SUCCEEDED, {"a": 1}, at(10) + DAY, "event")
    assert run.error is None


def test_a_failure_of_the_only_target_is_the_failure_of_the_run():
    run = finished(begun(a_run()), Failed("Boom", "it broke", "mend it"))
    assert (run.status, run.error) == (Status.FAILED, RunError(code="Boom", message="it broke", hint="mend it"))
    assert part(run).error == run.error


@pytest.mark.parametrize(
    ("rule", "outcomes", "status", "parts"),
    [
        ("all", {"a": 1, "b": 2, "c": 3}, "Succeeded", ["Succeeded", "Succeeded", "Succeeded"]),
        ("all", {"a": 1, "b": None}, "Running", ["Succeeded", "Failed", "Running"]),
        ("all", {"a": 1, "b": None, "c": 3}, "Failed", ["Succeeded", "Failed", "Succeeded"]),
        ("any", {"b": 1}, "Succeeded", ["Canceled", "Succeeded", "Canceled"]),
        ("any", {"a": None, "b": None}, "Running", ["Failed", "Failed", "Running"]),
        ("any", {"a": None, "b": None, "c": None}, "Failed", ["Failed", "Failed", "Failed"]),
        ("quorum:2", {"a": 1}, "Running", ["Succeeded", "Running", "Running"]),
        ("quorum:2", {"a": 1, "c": 1}, "Succeeded", ["Succeeded", "Canceled", "Succeeded"]),
        ("quorum:2", {"a": None, "b": None}, "Failed", ["Failed", "Failed", "Canceled"]),
        ("best-effort", {"a": 1, "b": None}, "Running", ["Succeeded", "Failed", "Running"]),
        ("best-effort", {"a": 1, "b": None, "c": None}, "Succeeded", ["Succeeded", "Failed", "Failed"]),
        ("best-effort", {"a": None, "b": None, "c": None}, "Failed", ["Failed", "Failed", "Failed"]),
    ],
)
def test_the_rule_says_when_a_run_of_three_ends_and_the_rest_is_canceled(rule, outcomes, status, parts):
    run = three(rule)
    for target, output in outcomes.items():
        run = finished(run, BOOM if output is None else Succeeded.of(output), target)
    assert (run.status.value, statuses(run)) == (status, parts)


def test_a_run_of_several_says_who_failed():
    run = finished(finished(three("quorum:2"), BOOM, "a"), LOST, "c")
    assert run.error is not None
    assert run.error.code == "TargetsFailed"
    assert "2 of 3 targets failed, and `quorum:2` asks for more: a (Boom), c (Timeout)." in run.error.message


def test_what_was_canceled_closes_its_attempt_as_unknown():
    (attempt,) = part(finished(three("any"), Succeeded.of(1), "a"), "b").attempts
    assert (attempt.outcome, attempt.code, attempt.until) == (AttemptOutcome.UNKNOWN, "Canceled", None)


def test_a_run_that_may_not_start_ends_at_once_with_the_reason():
    problem = RunError(code="InvalidInput", message="no")
    run = lifecycle.refuse(a_run(), problem, Status.FAILED, cause())
    assert (run.status, run.error, run.expires_at) == (Status.FAILED, problem, at(10) + DAY)


def test_an_ended_run_cannot_be_refused():
    run = lifecycle.refuse(finished(begun(a_run()), Succeeded.of(1)), RunError(code="x", message="y"), Status.FAILED, cause("other", 20))
    assert (run.status, run.output, run.expires_at, run.control.ended_by) == (Status.SUCCEEDED, 1, at(10) + DAY, "event")


def test_refusing_an_ended_run_changes_nothing():
    run = finished(begun(a_run()), Succeeded.of(1))
    assert lifecycle.refuse(run, RunError(code="x", message="y"), Status.FAILED, cause("other")) is run


# The deadline.


def test_before_the_deadline_nothing_times_out():
    run = begun(a_run())
    assert lifecycle.time_out(run, cause(seconds=119.9)) is run


def test_at_the_deadline_the_run_ends_and_names_whom_it_waited_for():
    run = lifecycle.time_out(finished(three("all"), Succeeded.of(1), "a"), cause(seconds=120))
    assert (run.status, statuses(run)) == (Status.TIMED_OUT, ["Succeeded", "TimedOut", "TimedOut"])
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("DeadlineExceeded", "The deadline passed while waiting for b, c.")
    assert part(run, "b").attempts[0].code == "DeadlineExceeded"


@pytest.mark.parametrize(("rule", "status"), [("best-effort", "Succeeded"), ("quorum:2", "TimedOut"), ("all", "TimedOut")])
def test_at_the_deadline_one_success_is_enough_for_best_effort_only(rule, status):
    run = lifecycle.time_out(finished(three(rule), Succeeded.of(1), "a"), cause(seconds=120))
    assert run.status.value == status


def test_a_canceling_run_times_out_even_with_a_success():
    run = lifecycle.ask_cancel(finished(three("best-effort"), Succeeded.of(1), "a"), now=at(100))
    assert lifecycle.time_out(run, cause(seconds=120)).status is Status.TIMED_OUT


def test_work_ends_a_run_past_its_deadline_only_while_it_has_not_ended_itself():
    run = finished(three("all"), Succeeded.of(1), "a")
    assert lifecycle.expire(run, "a", cause(seconds=120)) is run
    assert lifecycle.expire(run, "b", cause(seconds=119)) is run
    assert lifecycle.expire(run, "b", cause(seconds=120)).status is Status.TIMED_OUT


# Cancelling.


def test_cancelling_what_never_started_ends_it_at_once():
    run = lifecycle.cancel(lifecycle.ask_cancel(a_run(), now=at(1)), GRACE, cause(seconds=1))
    assert (run.status, statuses(run)) == (Status.CANCELED, ["Canceled"])
    assert run.error is not None
    assert run.error.code == "Canceled"


def test_cancelling_what_waits_for_its_next_attempt_ends_it_at_once():
    run = lifecycle.ask_cancel(finished(begun(a_run()), BOOM, again=60), now=at(11))
    assert lifecycle.cancel(run, GRACE, cause(seconds=11)).status is Status.CANCELED


@pytest.mark.parametrize(("seconds", "status"), [(1, "Canceling"), (30.9, "Canceling"), (31, "Canceled")])
def test_what_runs_may_finish_within_the_grace(seconds, status):
    run = lifecycle.cancel(lifecycle.ask_cancel(begun(a_run()), now=at(1)), GRACE, cause(seconds=seconds))
    assert run.status.value == status


@pytest.mark.parametrize(("outcome", "status"), [(Succeeded.of(1), "Succeeded"), (BOOM, "Canceled")])
def test_the_rule_met_before_the_end_of_the_grace_is_a_success_and_anything_else_canceled(outcome, status):
    run = finished(lifecycle.ask_cancel(begun(a_run()), now=at(1)), outcome, again=0 if outcome is BOOM else None)
    assert run.status.value == status


@pytest.mark.parametrize(
    ("rule", "status"), [("any", "Succeeded"), ("quorum:2", "Canceled"), ("best-effort", "Canceled"), ("all", "Canceled")]
)
def test_cancelling_alone_never_makes_a_success(rule, status):
    run = a_run(http("a"), http("b"), http("c"), rule=rule)
    run = lifecycle.cancel(lifecycle.ask_cancel(begun(run, "a"), now=at(1)), GRACE, cause("cancel", 1))
    assert statuses(run) == ["Running", "Canceled", "Canceled"]
    assert finished(run, Succeeded.of(1), "a").status.value == status


@pytest.mark.parametrize("run", [a_run(), finished(begun(a_run()), Succeeded.of(1))], ids=["nobody asked", "ended"])
def test_only_a_canceling_run_is_canceled(run):
    assert lifecycle.cancel(run, GRACE, cause(seconds=100)) is run


def test_asking_again_changes_nothing():
    run = lifecycle.ask_cancel(begun(a_run()), now=at(1))
    assert (run.status, run.control.cancel_at) == (Status.CANCELING, at(1))
    assert lifecycle.ask_cancel(run, now=at(5)) is run
    ended = finished(run, Succeeded.of(1))
    assert lifecycle.ask_cancel(ended, now=at(20)) is ended
