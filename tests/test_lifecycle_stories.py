"""From any state, any sequence of changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge import lifecycle
from bridge.catalog.target import Target
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Accepted, Outcome, Succeeded
from bridge.run import Run, Status
from bridge.testing import NOON
from tests.core_kit import SECOND, a_run, http, moderate, topic
from tests.lifecycle_kit import BOOM, DAY, GRACE, LOST, cause, statuses, without_late_result, without_late_results

Change = Callable[[Run, datetime, str], Run]


def _finish(run: Run, target: str, tried: tuple[int, Outcome, float | None], now: datetime, event: str) -> Run:
    found = run.invocation(target)
    number, outcome, again = tried
    attempt = len(found.attempts) - 1 - number if found else 0
    return lifecycle.finish(
        run, target, AttemptResult(attempt, outcome, None if again is None else timedelta(seconds=again)), Causation(event, now, DAY)
    )


targets_of_a_run = st.sampled_from("abc")
tries = st.tuples(
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([Succeeded.of(1), Succeeded.of(2), Accepted(), BOOM, LOST]),
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
    st.just(lambda run, now, event: lifecycle.cancel(run, GRACE, Causation(event, now, DAY))),
    st.just(lambda run, now, event: lifecycle.time_out(run, Causation(event, now, DAY))),
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
