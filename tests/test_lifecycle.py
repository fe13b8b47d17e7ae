from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import lifecycle
from bridge.catalog import Target
from bridge.lifecycle import Cause, Lapsed, Over, Start, Tried, Wait
from bridge.outcome import Accepted, Failed, Outcome, Succeeded
from bridge.run import AttemptOutcome, Invocation, Problem, Run, Status
from bridge.testing import NOON
from tests.core_kit import SECOND, a_run, http, moderate, topic

DAY = timedelta(days=1)
GRACE = 30 * SECOND
BOOM = Failed("Boom", "it broke", retriable=True)
LOST = Failed("Timeout", "no answer", retriable=True, unknown=True)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def cause(event: str = "event", seconds: float = 10) -> Cause:
    return Cause(event, at(seconds), DAY)


def begun(run: Run, target: str = "main", seconds: float = 0, lease: float = 30) -> Run:
    return lifecycle.begin(run, target, now=at(seconds), until=at(seconds + lease))


def finished(
    run: Run, outcome: Outcome, target: str = "main", *, again: float | None = None, event: str = "event", seconds: float = 10
) -> Run:
    part = run.invocation(target)
    number = len(part.attempts) - 1 if part else 0
    pause = None if again is None else timedelta(seconds=again)
    return lifecycle.finish(run, target, Tried(number, outcome, pause), cause(event, seconds))


def part(run: Run, target: str = "main") -> Invocation:
    found = run.invocation(target)
    assert found is not None
    return found


def three(rule: str) -> Run:
    run = a_run(http("a"), http("b"), http("c"), rule=rule)
    for target in "abc":
        run = begun(run, target)
    return run


def statuses(run: Run) -> list[str]:
    return [each.status.value for each in run.invocations]


# Starting.


def test_the_first_attempt_may_start_at_once():
    run = begun(a_run())
    assert (run.status, part(run).status) == (Status.RUNNING, Status.RUNNING)
    assert [(each.outcome, each.started_at, each.until) for each in part(run).attempts] == [(AttemptOutcome.RUNNING, NOON, at(30))]


def test_while_an_attempt_may_run_the_next_one_waits():
    run = begun(a_run())
    assert lifecycle.next_step(run, "main", at(29)) == Wait(at(30))
    assert begun(run, seconds=29) is run


def test_an_attempt_whose_time_is_over_has_lapsed_and_the_next_may_start_once_that_is_recorded():
    run = begun(a_run())
    assert lifecycle.next_step(run, "main", at(30)) == Lapsed(0)
    run = finished(run, Failed("OutcomeUnknown", "gone", unknown=True), again=0, seconds=30)
    assert part(run).attempts[0].outcome is AttemptOutcome.UNKNOWN
    assert lifecycle.next_step(run, "main", at(30)) == Start()


def test_an_accepted_attempt_waits_for_its_result_and_nothing_else_starts():
    run = finished(begun(a_run()), Accepted())
    assert part(run).attempts[0].outcome is AttemptOutcome.ACCEPTED
    assert lifecycle.next_step(run, "main", at(100)) == Over()


def test_dispatched_work_waits_for_its_result():
    run = lifecycle.accept(begun(a_run(topic())), "main", 0, now=at(1))
    assert (part(run).attempts[0].outcome, part(run).attempts[0].until, run.updated_at) == (AttemptOutcome.ACCEPTED, None, at(1))
    assert lifecycle.accept(run, "main", 0, now=at(2)) is run


@pytest.mark.parametrize("run", [a_run(), finished(begun(a_run()), Succeeded(1))], ids=["not begun", "ended"])
def test_only_what_has_begun_is_dispatched(run):
    assert lifecycle.accept(run, "main", 0, now=at(1)) is run


def test_after_a_failure_the_next_attempt_waits_for_its_pause():
    run = finished(begun(a_run()), BOOM, again=5)
    assert lifecycle.next_step(run, "main", at(14)) == Wait(at(15))
    assert begun(run, seconds=14) is run
    assert len(part(begun(run, seconds=15)).attempts) == 2


@pytest.mark.parametrize(
    "run",
    [
        finished(begun(a_run()), Succeeded(1)),
        finished(begun(a_run()), BOOM),
        lifecycle.ask_cancel(a_run(), now=at(1)),
        lifecycle.ask_cancel(finished(begun(a_run()), BOOM, again=0), now=at(11)),
        lifecycle.time_out(a_run(), cause(seconds=120)),
    ],
    ids=["succeeded", "failed", "canceling", "canceling between attempts", "timed out"],
)
def test_where_nothing_may_start_nothing_does(run):
    assert lifecycle.next_step(run, "main", at(60)) == Over()
    assert begun(run, seconds=60) is run


@pytest.mark.parametrize("seconds", [120, 121, 10_000])
def test_nothing_starts_at_the_deadline_or_later(seconds):
    assert lifecycle.next_step(a_run(), "main", at(seconds)) == Over()


def test_what_has_no_such_target_stays_as_it_is():
    run = a_run()
    assert lifecycle.next_step(run, "other", NOON) == Over()
    assert begun(run, "other") is run
    assert lifecycle.accept(run, "other", 0, now=NOON) is run
    assert finished(run, Succeeded(1), "other") is run
    assert lifecycle.report(run, "other", percent=1, message=None, now=NOON) is run


# Attempts.


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Succeeded(7), (AttemptOutcome.SUCCEEDED, 10_000, None, None)),
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
    run = lifecycle.finish(a_run(topic()), "main", Tried(-1, Succeeded(1)), cause())
    assert (run.status, run.output, part(run).attempts) == (Status.SUCCEEDED, 1, ())


def test_an_unknown_outcome_that_becomes_known_is_corrected_and_a_known_one_never_changes():
    run = finished(begun(a_run()), LOST, again=0)
    run = lifecycle.finish(run, "main", Tried(0, BOOM, SECOND), cause("later", 20))
    assert part(run).attempts[0].outcome is AttemptOutcome.FAILED
    run = lifecycle.finish(run, "main", Tried(0, Succeeded(1)), cause("last", 30))
    assert (part(run).attempts[0].outcome, run.output) == (AttemptOutcome.FAILED, 1)


# The end.


def test_a_success_ends_the_run_with_its_output_and_retention():
    run = finished(begun(a_run()), Succeeded({"a": 1}))
    assert (run.status, run.output, run.expires_at, run.control.ended_by) == (Status.SUCCEEDED, {"a": 1}, at(10) + DAY, "event")
    assert run.error is None


def test_a_failure_of_the_only_target_is_the_failure_of_the_run():
    run = finished(begun(a_run()), Failed("Boom", "it broke", "mend it"))
    assert (run.status, run.error) == (Status.FAILED, Problem(code="Boom", message="it broke", hint="mend it"))
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
        run = finished(run, BOOM if output is None else Succeeded(output), target)
    assert (run.status.value, statuses(run)) == (status, parts)


def test_a_run_of_several_says_who_failed():
    run = finished(finished(three("quorum:2"), BOOM, "a"), LOST, "c")
    assert run.error is not None
    assert run.error.code == "TargetsFailed"
    assert "2 of 3 targets failed, and `quorum:2` asks for more: a (Boom), c (Timeout)." in run.error.message


def test_what_was_canceled_closes_its_attempt_as_unknown():
    (attempt,) = part(finished(three("any"), Succeeded(1), "a"), "b").attempts
    assert (attempt.outcome, attempt.code, attempt.until) == (AttemptOutcome.UNKNOWN, "Canceled", None)


def test_a_run_that_may_not_start_ends_at_once_with_the_reason():
    problem = Problem(code="InvalidInput", message="no")
    run = lifecycle.refuse(a_run(), problem, Status.FAILED, cause())
    assert (run.status, run.error, run.expires_at) == (Status.FAILED, problem, at(10) + DAY)


def test_an_ended_run_cannot_be_refused():
    run = lifecycle.refuse(finished(begun(a_run()), Succeeded(1)), Problem(code="x", message="y"), Status.FAILED, cause("other", 20))
    assert (run.status, run.output, run.expires_at, run.control.ended_by) == (Status.SUCCEEDED, 1, at(10) + DAY, "event")


def test_refusing_an_ended_run_changes_nothing():
    run = finished(begun(a_run()), Succeeded(1))
    assert lifecycle.refuse(run, Problem(code="x", message="y"), Status.FAILED, cause("other")) is run


# The deadline.


def test_before_the_deadline_nothing_times_out():
    run = begun(a_run())
    assert lifecycle.time_out(run, cause(seconds=119.9)) is run


def test_at_the_deadline_the_run_ends_and_names_whom_it_waited_for():
    run = lifecycle.time_out(finished(three("all"), Succeeded(1), "a"), cause(seconds=120))
    assert (run.status, statuses(run)) == (Status.TIMED_OUT, ["Succeeded", "TimedOut", "TimedOut"])
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("DeadlineExceeded", "The deadline passed while waiting for b, c.")
    assert part(run, "b").attempts[0].code == "DeadlineExceeded"


@pytest.mark.parametrize(("rule", "status"), [("best-effort", "Succeeded"), ("quorum:2", "TimedOut"), ("all", "TimedOut")])
def test_at_the_deadline_one_success_is_enough_for_best_effort_only(rule, status):
    run = lifecycle.time_out(finished(three(rule), Succeeded(1), "a"), cause(seconds=120))
    assert run.status.value == status


def test_a_canceling_run_times_out_even_with_a_success():
    run = lifecycle.ask_cancel(finished(three("best-effort"), Succeeded(1), "a"), now=at(100))
    assert lifecycle.time_out(run, cause(seconds=120)).status is Status.TIMED_OUT


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


@pytest.mark.parametrize(("outcome", "status"), [(Succeeded(1), "Succeeded"), (BOOM, "Canceled")])
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
    assert finished(run, Succeeded(1), "a").status.value == status


@pytest.mark.parametrize("run", [a_run(), finished(begun(a_run()), Succeeded(1))], ids=["nobody asked", "ended"])
def test_only_a_canceling_run_is_canceled(run):
    assert lifecycle.cancel(run, GRACE, cause(seconds=100)) is run


def test_asking_again_changes_nothing():
    run = lifecycle.ask_cancel(begun(a_run()), now=at(1))
    assert (run.status, run.control.cancel_at) == (Status.CANCELING, at(1))
    assert lifecycle.ask_cancel(run, now=at(5)) is run
    ended = finished(run, Succeeded(1))
    assert lifecycle.ask_cancel(ended, now=at(20)) is ended


# Progress.


def test_the_percent_of_a_run_is_the_mean_of_its_targets():
    run = finished(three("all"), Succeeded(1), "a")
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
    assert run.progress.model_dump(exclude_unset=True) == {"message": "warming up"}


def test_after_the_end_there_is_no_progress():
    run = finished(three("all"), Succeeded(1), "a")
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
        (Succeeded(7), {"status": "Succeeded", "receivedAt": "2026-01-31T12:02:05Z", "output": 7}),
        (BOOM, {"status": "Failed", "receivedAt": "2026-01-31T12:02:05Z", "error": {"code": "Boom", "message": "it broke"}}),
    ],
)
def test_what_comes_after_the_end_is_kept_as_late_result_and_changes_nothing_else(outcome, shown):
    ended = lifecycle.time_out(begun(a_run()), cause("deadline", 120))
    late = finished(ended, outcome, seconds=125)
    assert part(late).late_result is not None
    assert part(late).late_result.model_dump(mode="json", by_alias=True, exclude_unset=True) == shown  # type: ignore[union-attr]  # asserted above
    assert without_late_results(late) == ended


def test_the_first_late_result_stays():
    run = finished(lifecycle.time_out(begun(a_run()), cause("deadline", 120)), Succeeded(1), seconds=125)
    assert finished(run, Succeeded(2), event="other", seconds=126) is run


def test_a_repeat_of_what_ended_it_and_an_acceptance_are_no_late_results():
    run = finished(begun(a_run()), Succeeded(1), event="result-1")
    assert finished(run, Succeeded(1), event="result-1", seconds=99) is run
    assert finished(run, Accepted(), event="other") is run


def test_a_target_that_ended_before_the_run_has_a_late_result_too():
    run = finished(three("all"), BOOM, "a", event="first")
    late = finished(run, Succeeded(1), "a", event="second")
    assert (late.status, part(late, "a").status) == (Status.RUNNING, Status.FAILED)
    assert part(late, "a").late_result is not None


def test_an_acceptance_that_comes_late_leaves_the_next_attempt_alone():
    run = begun(finished(begun(a_run()), LOST, again=0), seconds=20)
    run = lifecycle.finish(run, "main", Tried(0, Accepted()), cause("late", 25))
    assert part(run).attempts[1].outcome is AttemptOutcome.RUNNING


def test_an_acceptance_that_comes_after_the_failure_does_not_reopen_the_attempt():
    run = finished(begun(a_run()), BOOM, again=5)
    assert lifecycle.accept(run, "main", 0, now=at(11)) is run


@pytest.mark.parametrize("outcome", [Succeeded(1), Failed("Http400", "no")])
def test_an_ended_invocation_shows_no_attempt_as_running(outcome):
    run = begun(finished(begun(a_run()), LOST, again=0), seconds=20)
    run = lifecycle.finish(run, "main", Tried(0, outcome), cause("late", 25))
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


# From any state, any sequence of changes.

Change = Callable[[Run, datetime, str], Run]


def _finish(run: Run, target: str, tried: tuple[int, Outcome, float | None], now: datetime, event: str) -> Run:
    found = run.invocation(target)
    number, outcome, again = tried
    attempt = len(found.attempts) - 1 - number if found else 0
    return lifecycle.finish(
        run, target, Tried(attempt, outcome, None if again is None else timedelta(seconds=again)), Cause(event, now, DAY)
    )


targets_of_a_run = st.sampled_from("abc")
tries = st.tuples(
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([Succeeded(1), Succeeded(2), Accepted(), BOOM, LOST]),
    st.sampled_from([None, None, 0, 7]),
)
changes: st.SearchStrategy[Change] = st.one_of(
    targets_of_a_run.map(lambda target: lambda run, now, _: lifecycle.begin(run, target, now=now, until=now + 30 * SECOND)),
    targets_of_a_run.map(lambda target: lambda run, now, _: lifecycle.accept(run, target, 0, now=now)),
    st.tuples(targets_of_a_run, tries).map(lambda drawn: lambda run, now, event: _finish(run, *drawn, now, event)),
    st.tuples(targets_of_a_run, tries).map(lambda drawn: lambda run, now, event: _finish(run, *drawn, now, event)),
    st.tuples(targets_of_a_run, st.floats(0, 100)).map(
        lambda drawn: lambda run, now, _: lifecycle.report(run, drawn[0], percent=drawn[1], message="on the way", now=now)
    ),
    st.just(lambda run, now, _: lifecycle.ask_cancel(run, now=now)),
    st.just(lambda run, now, event: lifecycle.cancel(run, GRACE, Cause(event, now, DAY))),
    st.just(lambda run, now, event: lifecycle.time_out(run, Cause(event, now, DAY))),
)
#: Each change comes some seconds after the one before it.
stories = st.lists(st.tuples(st.sampled_from([0, 1, 5, 31, 60]), changes), max_size=25)
plans = st.sampled_from(["all", "any", "quorum:2", "best-effort"])
every_story = given(plans, stories)
TARGETS: tuple[Target, ...] = (http("a"), topic("b"), http("c"))


def told(rule: str, story: list[tuple[int, Change]]) -> Any:
    """The run before and after each change, with the change and its time."""
    run, now = a_run(*TARGETS, rule=rule), NOON
    for number, (pause, change) in enumerate(story):
        now += timedelta(seconds=pause)
        after = change(run, now, f"event-{number}")
        yield run, after, now, lambda changed, change=change, now=now, number=number: change(changed, now, f"event-{number}")
        run = after


def without_late_result(part: Invocation) -> Invocation:
    return part.model_copy(update={"late_result": None})


def without_late_results(run: Run) -> Run:
    return run.model_copy(update={"invocations": tuple(map(without_late_result, run.invocations))})


@moderate
@every_story
def test_a_final_status_is_never_left_and_only_late_results_come_after_it(rule, story):
    for before, after, _, _ in told(rule, story):
        if before.status.final:
            assert without_late_results(after) == without_late_results(before)
        for was, is_ in zip(before.invocations, after.invocations, strict=True):
            assert not was.status.final or without_late_result(is_) == without_late_result(was)


@moderate
@every_story
def test_nothing_begins_late_while_canceling_or_while_another_attempt_may_run(rule, story):
    for before, after, now, _ in told(rule, story):
        for was, is_ in zip(before.invocations, after.invocations, strict=True):
            if len(is_.attempts) > len(was.attempts):
                assert now < before.deadline
                assert before.status in (Status.PENDING, Status.RUNNING)
                assert not was.status.final
                assert not [attempt for attempt in was.attempts[-1:] if attempt.outcome.open]


@moderate
@every_story
def test_the_same_change_twice_changes_nothing_the_second_time(rule, story):
    for _, after, _, change in told(rule, story):
        assert change(after) == after


@moderate
@every_story
def test_an_ended_run_says_until_when_it_is_kept_who_ended_it_and_why(rule, story):
    for _, run, _, _ in told(rule, story):
        assert run.status.final == (run.expires_at is not None) == (run.control.ended_by is not None)
        assert (run.error is not None) == (run.status.final and run.status is not Status.SUCCEEDED)
        if run.status.final:
            assert all(each.status.final for each in run.invocations)


@moderate
@every_story
def test_a_run_succeeds_only_as_its_rule_allows(rule, story):
    needed = {"all": 3, "any": 1, "quorum:2": 2, "best-effort": 1}[rule]
    for _, run, _, _ in told(rule, story):
        if run.status is Status.SUCCEEDED:
            assert statuses(run).count("Succeeded") >= needed


@moderate
@every_story
def test_the_deadline_ends_whatever_came_before(rule, story):
    for _, run, _, _ in told(rule, story):
        assert lifecycle.time_out(run, cause("deadline", 10_000)).status.final
