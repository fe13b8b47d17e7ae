"""A circuit breaker as a value: closed, open until a time, or half open for a few probes. The rules are Dapr's (sony/gobreaker 0.5).

The caller keeps one breaker for each app, asks `allow` before a call and hands back the ticket with the outcome. A ticket counts only
for the state it was given in: an answer to a call from before the breaker opened says nothing of the app today.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.outcome import Failed, Outcome
from bridge.resilience.trip import NONE, Counts, trips

PROBING = timedelta(seconds=1)  #: when to ask again while all probes are under way


class State(StrEnum):
    """Closed lets every call through, open none, half open as many probes as the rules say."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """One of `spec.policies.circuitBreakers`: `trip` says what opens it; with an `interval` the counts start anew that often."""

    trip: str = "consecutiveFailures > 5"
    timeout: timedelta = timedelta(seconds=60)
    interval: timedelta = timedelta(0)
    max_requests: int = 1


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one app. `generation` changes with every state, and whenever the counts start anew."""

    rules: BreakerRules
    state: State = State.CLOSED
    generation: int = 0
    expires: datetime | None = None  #: closed: when the counts start anew; open: when probes may go
    counts: Counts = NONE  #: while half open, `requests` are the probes


@dataclass(frozen=True, slots=True)
class Allowed:
    """The call may go; hand the ticket back with its outcome."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The call may not go; ask again at `until`."""

    until: datetime


def allow(breaker: Breaker, now: datetime) -> tuple[Allowed | Refused, Breaker]:
    """Ask for one call. While half open this takes one of the probes."""
    breaker = _at(breaker, now)
    until = shut_until(breaker, now)
    if until is not None:
        return Refused(until), breaker
    return Allowed(breaker.generation), replace(breaker, counts=breaker.counts.asked())


def shut_until(breaker: Breaker, now: datetime) -> datetime | None:
    """When to ask again, if `allow` would refuse; takes no probe."""
    breaker = _at(breaker, now)
    if breaker.state is State.OPEN:
        return breaker.expires
    if breaker.state is State.HALF_OPEN and breaker.counts.requests >= breaker.rules.max_requests:
        return now + PROBING
    return None


def success(breaker: Breaker, ticket: int, now: datetime) -> Breaker:
    """The app answered. A half-open breaker closes when all its probes succeeded."""
    breaker = _at(breaker, now)
    if ticket != breaker.generation:
        return breaker
    counts = breaker.counts.succeeded()
    if breaker.state is State.HALF_OPEN and counts.consecutive_successes >= breaker.rules.max_requests:
        return _enter(breaker, State.CLOSED, now)
    return replace(breaker, counts=counts)


def failure(breaker: Breaker, ticket: int, now: datetime) -> Breaker:
    """The app failed. One failed probe opens a half-open breaker again."""
    breaker = _at(breaker, now)
    if ticket != breaker.generation:
        return breaker
    counts = breaker.counts.failed()
    if breaker.state is State.HALF_OPEN or trips(breaker.rules.trip, counts):
        return _enter(breaker, State.OPEN, now)
    return replace(breaker, counts=counts)


def withdraw(breaker: Breaker, ticket: int, now: datetime) -> Breaker:
    """The call was not made, or says nothing of the app (its time was cut short, the bridge stops): it does not count."""
    breaker = _at(breaker, now)
    if ticket != breaker.generation:
        return breaker
    return replace(breaker, counts=breaker.counts.asked(-1))


def record(breaker: Breaker, ticket: int, outcome: Outcome, now: datetime) -> Breaker:
    """Hand back a ticket with what became of the call.

    Only trouble of the app counts as a failure: no answer, 408, 429 and 5xx. Dapr counts every answer from 400 on, so that one caller
    with bad input could close an app to all others; here a 404 or 422 shows that the app is well.
    """
    if not isinstance(outcome, Failed):
        return success(breaker, ticket, now)
    if outcome.code == "UnknownApp":
        return withdraw(breaker, ticket, now)
    return (failure if outcome.retriable or outcome.unknown else success)(breaker, ticket, now)


def _at(breaker: Breaker, now: datetime) -> Breaker:
    """The breaker after what time alone does to it."""
    if breaker.state is State.OPEN and breaker.expires is not None and now >= breaker.expires:
        return _enter(breaker, State.HALF_OPEN, now)
    if breaker.state is State.CLOSED and breaker.rules.interval and (breaker.expires is None or now >= breaker.expires):
        return _enter(breaker, State.CLOSED, now)
    return breaker


def _enter(breaker: Breaker, state: State, now: datetime) -> Breaker:
    lasts = {State.OPEN: breaker.rules.timeout, State.CLOSED: breaker.rules.interval, State.HALF_OPEN: timedelta(0)}[state]
    return Breaker(breaker.rules, state, breaker.generation + 1, now + lasts if lasts else None)
