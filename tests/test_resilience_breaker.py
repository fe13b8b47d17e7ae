"""The circuit breaker as a value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.outcome import Accepted, Failed, Outcome, Succeeded
from bridge.resilience import (
    Allowed,
    Breaker,
    BreakerRules,
    BreakerState,
    CircuitOpen,
    allow,
    failure,
    in_a_row,
    record,
    shut_until,
    success,
    withdraw,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = BreakerRules(in_a_row(3), timeout=30 * SECOND)


def fail(breaker: Breaker, times: int, now: datetime = NOW) -> Breaker:
    for _ in range(times):
        breaker = failure(breaker, breaker.generation, now)
    return breaker


def opened(rules: BreakerRules = RULES) -> Breaker:
    breaker = fail(Breaker(rules), 3)
    assert breaker.state is BreakerState.OPEN
    return breaker


def taken(breaker: Breaker, now: datetime) -> tuple[int, Breaker]:
    decision, breaker = allow(breaker, now)
    assert isinstance(decision, Allowed)
    return decision.ticket, breaker


def test_a_closed_breaker_lets_every_call_through() -> None:
    decision, breaker = allow(fail(Breaker(RULES), 2), NOW)
    assert (decision, breaker.state) == (Allowed(0), BreakerState.CLOSED)


def test_failures_in_a_row_open_it_until_its_timeout_is_over() -> None:
    decision, breaker = allow(opened(), NOW + 29 * SECOND)
    assert decision == CircuitOpen(NOW + 30 * SECOND)
    assert shut_until(breaker, NOW) == NOW + 30 * SECOND


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = success(fail(Breaker(RULES), 2), 0, NOW)
    assert fail(breaker, 2).state is BreakerState.CLOSED


def test_after_its_timeout_one_probe_may_go_and_the_others_wait() -> None:
    later = NOW + 30 * SECOND
    _, breaker = taken(opened(), later)
    assert breaker.state is BreakerState.HALF_OPEN
    assert isinstance(allow(breaker, later)[0], CircuitOpen)


def test_looking_takes_no_probe() -> None:
    assert shut_until(opened(), NOW + 30 * SECOND) is None
    assert shut_until(opened(), NOW + 30 * SECOND) is None


def test_a_probe_that_succeeds_closes_it() -> None:
    ticket, breaker = taken(opened(), NOW + 30 * SECOND)
    assert success(breaker, ticket, NOW + 31 * SECOND).state is BreakerState.CLOSED


def test_a_probe_that_fails_opens_it_for_another_timeout() -> None:
    ticket, breaker = taken(opened(), NOW + 30 * SECOND)
    assert shut_until(failure(breaker, ticket, NOW + 35 * SECOND), NOW + 35 * SECOND) == NOW + 65 * SECOND


def test_all_probes_must_succeed_before_it_closes() -> None:
    later = NOW + 30 * SECOND
    one, breaker = taken(opened(BreakerRules(in_a_row(3), 30 * SECOND, max_requests=2)), later)
    two, breaker = taken(breaker, later)
    breaker = success(breaker, one, later)
    assert breaker.state is BreakerState.HALF_OPEN
    assert success(breaker, two, later).state is BreakerState.CLOSED


def test_a_probe_that_was_not_made_can_be_given_back() -> None:
    ticket, breaker = taken(opened(), NOW + 30 * SECOND)
    assert isinstance(allow(withdraw(breaker, ticket, NOW + 30 * SECOND), NOW + 30 * SECOND)[0], Allowed)


def test_an_answer_from_before_it_opened_says_nothing() -> None:
    old, breaker = taken(Breaker(RULES), NOW)
    breaker = fail(breaker, 3)
    _, breaker = taken(breaker, NOW + 30 * SECOND)
    for late in (success, failure, withdraw):
        assert late(breaker, old, NOW + 31 * SECOND) == breaker


def test_with_an_interval_the_count_starts_anew_that_often() -> None:
    rules = BreakerRules(in_a_row(3), interval=10 * SECOND)
    ticket, breaker = taken(Breaker(rules), NOW)
    breaker = failure(failure(breaker, ticket, NOW), ticket, NOW)
    ticket, breaker = taken(breaker, NOW + 10 * SECOND)
    assert failure(breaker, ticket, NOW + 11 * SECOND).state is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("outcome", "opens"),
    [
        (Succeeded.of(1), False),
        (Accepted(), False),
        (Failed("Http404", "x", status=404), False),
        (Failed("BadAnswer", "x", status=200), False),
        (Failed("OutputTooLarge", "x"), False),
        (Failed("UnknownApp", "x", retriable=True), False),
        (Failed("Http503", "x", retriable=True, status=503), True),
        (Failed("ConnectionFailed", "x", retriable=True), True),
        (Failed("Timeout", "x", retriable=True, unknown=True), True),
    ],
)
def test_only_trouble_of_the_app_counts_against_it(outcome: Outcome, opens: bool) -> None:
    breaker = Breaker(BreakerRules(in_a_row(1)))
    assert (record(breaker, 0, outcome, NOW).state is BreakerState.OPEN) is opens


def test_an_app_that_is_not_known_ends_no_probing() -> None:
    ticket, breaker = taken(opened(), NOW + 30 * SECOND)
    breaker = record(breaker, ticket, Failed("UnknownApp", "x", retriable=True), NOW + 30 * SECOND)
    assert isinstance(allow(breaker, NOW + 30 * SECOND)[0], Allowed)


@given(st.integers(1, 20), st.lists(st.booleans(), max_size=60))
def test_it_opens_exactly_at_the_failures_in_a_row_that_the_rules_name(most: int, answers: list[bool]) -> None:
    breaker, row = Breaker(BreakerRules(in_a_row(most))), 0
    for good in answers:
        breaker = (success if good else failure)(breaker, breaker.generation, NOW)
        row = 0 if good else row + 1
        assert (breaker.state is BreakerState.OPEN) is (row == most)
        if breaker.state is BreakerState.OPEN:
            return


class AnyCourse(RuleBasedStateMachine):
    """Calls that overlap, end in any order, or never end."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.now = Breaker(BreakerRules(in_a_row(2), 5 * SECOND, interval=60 * SECOND, max_requests=2)), NOW
        self.open_calls: list[int] = []

    @rule(seconds=st.integers(0, 7))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def ask(self) -> None:
        shut = shut_until(self.breaker, self.now)
        decision, self.breaker = allow(self.breaker, self.now)
        assert isinstance(decision, CircuitOpen) is (shut is not None)
        if isinstance(decision, Allowed):
            self.open_calls.append(decision.ticket)
        else:
            assert self.now < decision.until <= self.now + 5 * SECOND

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data(), end=st.sampled_from([success, failure, withdraw]))
    def end(self, data: st.DataObject, end: object) -> None:
        ticket = self.open_calls.pop(data.draw(st.integers(0, len(self.open_calls) - 1)))
        assert callable(end)
        self.breaker = end(self.breaker, ticket, self.now)

    @invariant()
    def probes_under_way_are_never_more_than_allowed(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN:
            under_way = self.open_calls.count(self.breaker.generation)
            assert under_way + self.breaker.counts.consecutive_successes <= self.breaker.rules.max_requests

    @invariant()
    def it_never_stays_shut_for_longer_than_its_timeout_unless_probes_are_out(self) -> None:
        later = self.now + 5 * SECOND
        if shut_until(self.breaker, later) is not None:
            assert self.open_calls.count(self.breaker.generation)


TestAnyCourse = AnyCourse.TestCase
