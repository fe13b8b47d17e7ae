"""Working out requests under a policy, and finding the policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from bridge import resilience
from bridge.cli import hammerview
from bridge.cli.screen import Screen
from bridge.hammer import policyfile, search
from bridge.hammer.faults import Faults
from bridge.hammer.measurement import LoadStep, MeasuredCall, Measurement
from bridge.hammer.report import HammerReport, as_json
from bridge.hammer.search import Goal, find, nice, simulated
from bridge.resilience import BreakerRules, Policy, Retry, worst_case
from tests.hammer.measuring import measured_with

SECOND = timedelta(seconds=1)
GOAL = Goal(0.999, 60 * SECOND)
ANSWERED, FAILED, HUNG = MeasuredCall(0.05), MeasuredCall(0.05, "Http503", 503), MeasuredCall(5.0, "Timeout", None, hung=True)
THRICE = Policy(SECOND, Retry(duration=SECOND, max_retries=2))
SLOWLY = [float(each) for each in range(1000)]


@pytest.fixture(autouse=True)
def fewer_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests ask which policy is taken, and not how good it is to a thousandth."""
    monkeypatch.setattr(search, "_REQUESTS", 400)


def of(*calls: MeasuredCall, rate: float = 40) -> Measurement:
    answered = [each._replace(status=each.status or (None if each.code else 200)) for each in calls]
    return Measurement((LoadStep(rate, answered * 10),))


def test_a_function_that_always_answers_is_called_once_for_each_request() -> None:
    tally = simulated(of(ANSWERED), THRICE, GOAL, SLOWLY)
    assert (tally.asked, tally.succeeded, tally.calls) == (1000, 1000, 1000)


def test_a_function_that_never_answers_fails_after_all_attempts_and_their_pauses() -> None:
    tally = simulated(of(HUNG), THRICE, GOAL, SLOWLY)
    assert (tally.ends, tally.attempts) == ({"Failed": 1000}, {3: 1000})


def test_retries_turn_a_share_of_failures_into_its_power() -> None:
    tally = simulated(of(*[ANSWERED] * 3, FAILED), THRICE, GOAL, SLOWLY, cautious=False)
    assert tally.share == pytest.approx(1 - 0.25**3, abs=0.01)
    assert tally.cumulated()[0] == pytest.approx(0.75, abs=0.05)


def test_caution_makes_failures_as_frequent_as_few_calls_leave_open() -> None:
    few = of(*[ANSWERED] * 3, FAILED)
    assert simulated(few, Policy(SECOND), GOAL, SLOWLY).share < simulated(few, Policy(SECOND), GOAL, SLOWLY, cautious=False).share - 0.05


def test_the_deadline_ends_a_request_that_waits_for_an_open_breaker() -> None:
    policy = Policy(SECOND, None, BreakerRules("consecutiveFailures >= 1", 3600 * SECOND))
    tally = simulated(of(HUNG), policy, GOAL, [0, 10, 20])
    assert (tally.ends, tally.attempts) == ({"Failed": 1, "TimedOut": 2}, {1: 1, 0: 2})


def test_no_more_calls_run_at_a_time_than_there_is_room() -> None:
    together = [0.0] * 4
    one, four = (simulated(of(ANSWERED), THRICE, Goal(0.999, 60 * SECOND, room), together) for room in (1, 4))
    assert [round(each, 3) for each in one.seconds] == [0.05, 0.1, 0.15, 0.2]
    assert [round(each, 3) for each in four.seconds] == [0.05] * 4


TRIPS_SOON = replace(THRICE, breaker=BreakerRules("consecutiveFailures >= 2", 20 * SECOND))
TRIPS_FOR_LONG = replace(THRICE, breaker=BreakerRules("consecutiveFailures >= 2", 3600 * SECOND))


@pytest.mark.parametrize("policy", [THRICE, TRIPS_SOON, TRIPS_FOR_LONG])
@pytest.mark.parametrize("deadline", [0.3, 5, 60])
@pytest.mark.parametrize("room", [1, 3])
def test_every_request_is_counted_however_it_waits(policy: Policy, deadline: float, room: int) -> None:
    """Those that are woken after their deadline, or while the breaker is open, make no call; the next one must get the place."""
    arrivals = [number / 100 for number in range(200)]
    for calls in ((ANSWERED,), (HUNG,), (ANSWERED, FAILED, HUNG)):
        tally = simulated(of(*calls), policy, Goal(0.999, deadline * SECOND, room), arrivals)
        assert tally.asked == len(arrivals)


def test_the_same_measurement_gives_the_same_policy() -> None:
    measured = measured_with(Faults(errors=0.3, breaks_at=None), 1)
    one, other = find(measured, GOAL), find(measured, GOAL)
    assert one is not None
    assert other is not None
    assert (one.policy, one.usual.ends) == (other.policy, other.usual.ends)


def test_a_function_that_never_fails_gets_no_retries() -> None:
    found = find(of(ANSWERED), GOAL)
    assert found is not None
    assert (found.reached, found.policy.retry, found.policy.timeout) == (True, None, SECOND)


def test_a_goal_that_no_policy_reaches_is_said_and_the_best_is_given() -> None:
    found = find(of(ANSWERED, *[FAILED] * 9), Goal(0.999, 5 * SECOND))
    assert found is not None
    assert not found.reached
    assert 0 < found.usual.share < 0.999
    longest = worst_case(found.policy).duration
    assert longest is not None
    assert longest <= 5 * SECOND


def test_requests_are_as_many_as_there_is_room_for() -> None:
    slow = of(MeasuredCall(2.0), rate=1000)
    assert search.usable_rate(slow, Goal(0.999, 60 * SECOND, room=20)) < 20 / 2
    assert search.usable_rate(slow, Goal(0.999, 60 * SECOND, room=40)) == 2 * search.usable_rate(slow, Goal(0.999, 60 * SECOND, room=20))


def test_where_no_policy_does_it_at_the_full_rate_a_slower_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the calls fail, so there are many retries, which come in bunches and break the function after a while."""
    monkeypatch.setattr(search, "_REQUESTS", 1500)
    measured = measured_with(Faults(errors=0.5), 1)
    found = find(measured, GOAL)
    assert found is not None
    assert found.reached
    assert found.rate in {search.usable_rate(measured, GOAL) / slower for slower in (2, 4)}


def test_of_a_function_that_never_answers_no_policy_is_made() -> None:
    assert find(of(HUNG), GOAL) is None


def test_usual_failures_in_a_row_do_not_open_the_breaker() -> None:
    rules = search.breaker(of(*[ANSWERED] * 3, FAILED), GOAL, 6)
    in_a_row = int(rules.trip.rpartition(" ")[2])
    assert of(*[ANSWERED] * 3, FAILED).failing_at_most ** (in_a_row + 1) * 1e7 <= 1
    assert search.breaker(of(*[ANSWERED] * 200), GOAL, 3).trip == "consecutiveFailures > 4"


def test_the_breaker_is_open_for_about_twice_the_recovery_and_a_quarter_of_the_deadline_at_most() -> None:
    recovered = Measurement(of(ANSWERED).steps, recovery=2.1)
    assert search.breaker(recovered, GOAL, 3).timeout == 5 * SECOND
    assert search.breaker(recovered, Goal(0.999, 8 * SECOND), 3).timeout == 2 * SECOND
    assert search.breaker(of(ANSWERED), Goal(0.999, 600 * SECOND), 3).timeout == 30 * SECOND


@pytest.mark.parametrize("name", ["123", "no", "true", "null", "1e3", "0x1f", "app-1", "2-b"])
def test_the_policy_of_any_app_can_be_read_by_its_name(tmp_path, name: str) -> None:
    measured = of(*[ANSWERED] * 3, FAILED)
    found = find(measured, GOAL)
    assert found is not None
    (tmp_path / "resiliency.yaml").write_text(policyfile.text(HammerReport(name, GOAL, measured, found)))
    assert resilience.load(tmp_path / "resiliency.yaml").by_app == {name: found.policy}


def test_a_policy_that_was_not_tried_says_why_and_agrees_with_nothing() -> None:
    measured = of(ANSWERED)
    report = HammerReport("app", GOAL, measured, find(measured, GOAL), untried="2 of the 50 calls were left. Raise --most.")
    assert "# NOT TRIED: 2 of the 50 calls were left. Raise --most." in policyfile.text(report)
    assert (as_json(report)["agrees"], as_json(report)["notTried"], report.good) == (None, report.untried, False)
    out = StringIO()
    hammerview.tell(Screen(out=Console(file=out, width=200), err=Console(file=StringIO())), report)
    assert "Not tried: 2 of the 50 calls were left. Raise --most." in out.getvalue()


@pytest.mark.parametrize(("seconds", "rounded"), [(0.101, 0.15), (0.3, 0.3), (1.0, 1.0), (1.01, 1.5), (8.4, 10), (23, 30), (0.0004, 0.001)])
def test_numbers_are_those_that_people_write(seconds: float, rounded: float) -> None:
    assert nice(max(seconds, 0.001)).total_seconds() == pytest.approx(rounded)


@pytest.mark.parametrize("faults", [Faults(), Faults(errors=0, hangs=0, breaks_at=None), Faults(errors=0.9, breaks_at=None)])
def test_every_policy_that_is_found_can_be_written_and_read(tmp_path, faults: Faults) -> None:
    measured = measured_with(faults, 4)
    found = find(measured, GOAL)
    assert found is not None
    text = policyfile.text(HammerReport("app", GOAL, measured, found))
    (tmp_path / "resiliency.yaml").write_text(text)
    assert resilience.load(tmp_path / "resiliency.yaml").for_app("app") == found.policy
    assert all(len(line) <= 140 for line in text.splitlines())
    assert ("NOT REACHED" in text) is not found.reached
    assert "did not break" in text or "breaks at" in text
