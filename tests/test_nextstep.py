from __future__ import annotations

import pytest

from bridge import lifecycle, nextstep
from bridge.nextstep import Expired, Lapsed, Over, Start, Wait
from bridge.outcome import Accepted, Failed, Succeeded
from bridge.run import AttemptOutcome, Status, dump, load
from bridge.testing import NOON
from tests.core_kit import a_run, topic
from tests.lifecycle_kit import BOOM, at, begun, cause, finished, part


def test_the_first_attempt_may_start_at_once():
    run = begun(a_run())
    assert (run.status, part(run).status) == (Status.RUNNING, Status.RUNNING)
    assert [(each.outcome, each.started_at, each.until) for each in part(run).attempts] == [(AttemptOutcome.RUNNING, NOON, at(30))]


def test_while_an_attempt_may_run_the_next_one_waits():
    run = begun(a_run())
    assert nextstep.next_step(run, "main", at(29)) == Wait(at(30))
    assert begun(run, seconds=29) is run


def test_an_attempt_whose_time_is_over_has_lapsed_and_the_next_may_start_once_that_is_recorded():
    run = begun(a_run())
    assert nextstep.next_step(run, "main", at(30)) == Lapsed(0)
    run = finished(run, Failed("OutcomeUnknown", "gone", unknown=True), again=0, seconds=30)
    assert part(run).attempts[0].outcome is AttemptOutcome.UNKNOWN
    assert nextstep.next_step(run, "main", at(30)) == Start()


def test_an_attempt_of_an_earlier_process_has_lapsed_at_once_if_only_one_can_be_at_work():
    run = lifecycle.begin(a_run(), "main", now=NOON, until=at(30), process="first")
    assert nextstep.next_step(run, "main", at(1), is_over="second".__ne__) == Lapsed(0)
    assert nextstep.next_step(run, "main", at(1), is_over="first".__ne__) == Wait(at(30))
    assert nextstep.next_step(run, "main", at(1)) == Wait(at(30))


def test_an_attempt_stored_before_attempts_named_their_process_has_lapsed_too():
    stored = dump(lifecycle.begin(a_run(), "main", now=NOON, until=at(30), process="first")).replace(b',"process":"first"', b"")
    assert nextstep.next_step(load(stored), "main", at(1), is_over="second".__ne__) == Lapsed(0)


def test_an_accepted_attempt_of_an_earlier_process_still_waits_for_its_result():
    run = finished(lifecycle.begin(a_run(), "main", now=NOON, until=at(30), process="first"), Accepted())
    assert nextstep.next_step(run, "main", at(1), is_over="second".__ne__) == Over()


def test_a_pause_whose_clock_was_set_back_is_over():
    run = finished(begun(a_run()), BOOM, again=60)
    assert nextstep.next_step(run, "main", at(6)) == Wait(at(70))  # the clocks of two replicas may differ by a little
    assert nextstep.next_step(run, "main", at(-3600)) == Start()


def test_a_run_that_is_changed_by_a_clock_set_back_was_never_updated_in_the_past():
    run = begun(a_run(), seconds=20)
    for changed in (
        finished(run, BOOM, again=5, seconds=-3600),
        lifecycle.report(run, "main", percent=5, message=None, now=at(-3600)),
        lifecycle.ask_cancel(run, now=at(-3600)),
        finished(run, Succeeded.of(1), seconds=-3600),
    ):
        assert changed is not run
        assert changed.updated_at == at(20)


def test_an_accepted_attempt_waits_for_its_result_and_nothing_else_starts():
    run = finished(begun(a_run()), Accepted())
    assert part(run).attempts[0].outcome is AttemptOutcome.ACCEPTED
    assert nextstep.next_step(run, "main", at(100)) == Over()


def test_dispatched_work_waits_for_its_result():
    run = lifecycle.accept(begun(a_run(topic())), "main", 0, now=at(1))
    assert (part(run).attempts[0].outcome, part(run).attempts[0].until, run.updated_at) == (AttemptOutcome.ACCEPTED, None, at(1))
    assert lifecycle.accept(run, "main", 0, now=at(2)) is run


@pytest.mark.parametrize("run", [a_run(), finished(begun(a_run()), Succeeded.of(1))], ids=["not begun", "ended"])
def test_only_what_has_begun_is_dispatched(run):
    assert lifecycle.accept(run, "main", 0, now=at(1)) is run


def test_after_a_failure_the_next_attempt_waits_for_its_pause():
    run = finished(begun(a_run()), BOOM, again=5)
    assert nextstep.next_step(run, "main", at(14)) == Wait(at(15))
    assert begun(run, seconds=14) is run
    assert len(part(begun(run, seconds=15)).attempts) == 2


@pytest.mark.parametrize(
    "run",
    [
        finished(begun(a_run()), Succeeded.of(1)),
        finished(begun(a_run()), BOOM),
        lifecycle.ask_cancel(a_run(), now=at(1)),
        lifecycle.ask_cancel(finished(begun(a_run()), BOOM, again=0), now=at(11)),
        lifecycle.time_out(a_run(), cause(seconds=120)),
    ],
    ids=["succeeded", "failed", "canceling", "canceling between attempts", "timed out"],
)
def test_where_nothing_may_start_nothing_does(run):
    assert nextstep.next_step(run, "main", at(60)) == Over()
    assert begun(run, seconds=60) is run


@pytest.mark.parametrize("seconds", [120, 121, 10_000])
def test_nothing_starts_at_the_deadline_or_later(seconds):
    assert nextstep.next_step(a_run(), "main", at(seconds)) == Expired()
    assert part(begun(a_run(), seconds=seconds)).attempts == ()


def test_while_a_run_is_being_canceled_its_last_attempt_is_waited_for():
    canceling = lifecycle.ask_cancel(begun(a_run()), now=at(1))
    (attempt,) = part(canceling).attempts
    assert nextstep.next_step(canceling, "main", at(2)) == Wait(attempt.until)
    assert nextstep.next_step(canceling, "main", attempt.until) == Lapsed(0)


def test_what_has_no_such_target_stays_as_it_is():
    run = a_run()
    assert nextstep.next_step(run, "other", NOON) == Over()
    assert begun(run, "other") is run
    assert lifecycle.accept(run, "other", 0, now=NOON) is run
    assert finished(run, Succeeded.of(1), "other") is run
    assert lifecycle.report(run, "other", percent=1, message=None, now=NOON) is run
