"""A circuit breaker as a value: closed, open until a time, or half open for a few probes. The rules are Dapr's (sony/gobreaker 0.5).

The caller keeps one breaker for each function, asks `allow` before a call, and passes the ticket to `record` with the outcome. A ticket
counts only for the state in which it was issued: the answer to a call from before the breaker opened says nothing about the function now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.outcome import Failed, Outcome
from bridge.resilience.trip import NONE, Counts, trips

PROBING = timedelta(seconds=1)  #: how long to wait before asking again while all probes are under way


class BreakerState(StrEnum):
    """Closed permits every call, open none, half open as many probes as the rules say."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """One of `spec.policies.circuitBreakers`: `trip` says when it opens. With an `interval` the counts restart that often."""

    trip: str = "consecutiveFailures > 5"
    timeout: timedelta = timedelta(seconds=60)
    interval: timedelta = timedelta(0)
    max_requests: int = 1


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one function. `generation` changes with every state, and whenever the counts restart."""

    rules: BreakerRules
    state: BreakerState = BreakerState.CLOSED
    generation: int = 0
    expires: datetime | None = None  #: closed: when the counts restart; open: when it becomes half open
    counts: Counts = NONE  #: while half open, `requests` are the probes


@dataclass(frozen=True, slots=True)
class Allowed:
    """The call is permitted. Its ticket must be passed to `record` or `withdraw`."""

    ticket: int


@dataclass(frozen=True, slots=True)
class CircuitOpen:
    """The call is not permitted. Ask again at `until`."""

    until: datetime


def allow(breaker: Breaker, now: datetime) -> tuple[Allowed | CircuitOpen, Breaker]:
    """Ask whether one call is permitted. While half open this uses up one of the probes."""
    breaker = _at(breaker, now)
    until = shut_until(breaker, now)
    if until is not None:
        return CircuitOpen(until), breaker
    return Allowed(breaker.generation), _counting(breaker, breaker.counts.permitted())


def shut_until(breaker: Breaker, now: datetime) -> datetime | None:
    """When to ask again if `allow` would refuse, else None. Uses up no probe."""
    breaker = _at(breaker, now)
    if breaker.state is BreakerState.OPEN:
        return breaker.expires
    if breaker.state is BreakerState.HALF_OPEN and breaker.counts.requests >= breaker.rules.max_requests:
        return now + PROBING
    return None


def success(breaker: Breaker, ticket: int, now: datetime) -> Breaker:
    """The function answered. A half-open breaker closes when all its probes succeeded."""
    breaker = _at(breaker, now)
    if ticket != breaker.generation:
        return breaker
    counts = breaker.counts.succeeded()
    if breaker.state is BreakerState.HALF_OPEN and counts.consecutive_successes >= breaker.rules.max_requests:
        return _enter(breaker, BreakerState.CLOSED, now)
    return _counting(breaker, counts)


def failure(breaker: Breaker, ticket: int, now: datetime) -> Breaker:
    """The function failed. One failed probe opens a half-open breaker again."""
    breaker = _at(breaker, now)
    if ticket != breaker.generation:
        return breaker
    counts = breaker.counts.failed()
    if breaker.state is BreakerState.HALF_OPEN or trips(breaker.rules.trip, counts):
        return _enter(breaker, BreakerState.OPEN, now)
    return _counting(breaker, counts)


def withdraw(breaker: Breaker, ticket: int, now: datetime) -> Breaker:
    """Do not count the call: it was not made, or says nothing about the app (its time was cut short, or the bridge stops)."""
    breaker = _at(breaker, now)
    if ticket != breaker.generation:
        return breaker
    return _counting(breaker, breaker.counts.permitted(-1))


def record(breaker: Breaker, ticket: int, outcome: Outcome, now: datetime) -> Breaker:
    """Count the outcome of the call that the ticket was issued for.

    Only trouble of the app counts as a failure: no answer, 408, 429 and 5xx. Dapr counts every answer from 400 on, so one caller with bad
    input could block an app for all others. Here a 404 or 422 shows that the app works.
    """
    if not isinstance(outcome, Failed):
        return success(breaker, ticket, now)
    if outcome.code == "UnknownApp":
        return withdraw(breaker, ticket, now)
    return (failure if outcome.retriable or outcome.unknown else success)(breaker, ticket, now)


def _counting(breaker: Breaker, counts: Counts) -> Breaker:
    return Breaker(breaker.rules, breaker.state, breaker.generation, breaker.expires, counts)


def _at(breaker: Breaker, now: datetime) -> Breaker:
    """The breaker at this time: its counts may have restarted, or it may have become half open."""
    if breaker.state is BreakerState.OPEN and breaker.expires is not None and now >= breaker.expires:
        return _enter(breaker, BreakerState.HALF_OPEN, now)
    if breaker.state is BreakerState.CLOSED and breaker.rules.interval and (breaker.expires is None or now >= breaker.expires):
        return _enter(breaker, BreakerState.CLOSED, now)
    return breaker


def _enter(breaker: Breaker, state: BreakerState, now: datetime) -> Breaker:
    lasts = {BreakerState.OPEN: breaker.rules.timeout, BreakerState.CLOSED: breaker.rules.interval, BreakerState.HALF_OPEN: timedelta(0)}[
        state
    ]
    return Breaker(breaker.rules, state, breaker.generation + 1, now + lasts if lasts else None)
