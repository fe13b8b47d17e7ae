"""Calls of functions behind HTTP targets: under their app's policy, as many at a time as the target allows, none past an open breaker."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic_core import to_json

from bridge import events, resilience, telemetry
from bridge.catalog import HttpTarget, Target
from bridge.errors import CallFailed
from bridge.outcome import Failed, Outcome, classify
from bridge.ports import Answer, Call, Clock, Functions
from bridge.resilience import Again, Breaker, Policies, Refused
from bridge.run import Invocation, Run
from bridge.settings import Settings

#: How many work items may wait here for each call a target allows; more go back to the bus, so that one slow target holds up no other.
WAITING = 4
#: How long an item that found no room stays away, at least and at most.
AWAY = (timedelta(milliseconds=500), timedelta(seconds=2))
#: What an attempt may lose of its time limit before a call without answer says nothing of the app any more.
SPENT = timedelta(seconds=1)


@dataclass
class _Gate:
    """The room of one target."""

    limit: int
    free: asyncio.Semaphore = field(init=False)
    inside: int = 0

    def __post_init__(self) -> None:
        self.free = asyncio.Semaphore(self.limit)

    @property
    def crowded(self) -> bool:
        return self.inside >= self.limit * (1 + WAITING)


@dataclass
class Place:
    """Room for one call, with the breaker's leave if the app has a breaker."""

    ticket: int | None
    used: bool = False


class Calls:
    """Holds what outlives a single call: the gates of targets and the breakers of apps."""

    def __init__(self, functions: Functions, policies: Policies, clock: Clock, settings: Settings) -> None:
        self._functions, self._policies, self._clock, self._settings = functions, policies, clock, settings
        self._gates: dict[tuple[str, str], _Gate] = {}
        self._breakers: dict[str, Breaker] = {}
        self._random = random.Random()  # noqa: S311 - spreads retries, protects nothing

    def timeout(self, target: Target) -> timedelta:
        """The longest one attempt may take by the policy of the app."""
        return self._policies.for_app(_http(target).app).timeout

    def busy(self, automation: str, target: Target, now: datetime) -> datetime | None:
        """When to come back, if too many wait for the target or its app's breaker is open; None if a call may be tried."""
        if self._gate(automation, target).crowded:
            return now + AWAY[0] + (AWAY[1] - AWAY[0]) * self._random.random()
        breaker = self._breaker(_http(target).app)
        return resilience.shut_until(breaker, now) if breaker else None

    @contextlib.asynccontextmanager
    async def slot(self, automation: str, target: Target) -> AsyncIterator[Place | Refused]:
        """Room for one call, waited for; or Refused, if the breaker has opened meanwhile."""
        gate, app = self._gate(automation, target), _http(target).app
        gate.inside += 1
        try:
            async with gate.free:
                place = self._admit(app)
                try:
                    yield place
                finally:
                    if isinstance(place, Place) and place.ticket is not None and not place.used:
                        self._breakers[app] = resilience.withdraw(self._breakers[app], place.ticket, self._clock.now())
        finally:
            gate.inside -= 1

    async def call(self, place: Place, run: Run, part: Invocation, limit: timedelta) -> Outcome:
        """Make one attempt, which may last until `limit` after it was saved, and say what its answer means."""
        target = _http(part.control.target)
        now = self._clock.now()
        left = limit - (now - part.attempts[-1].started_at)
        if left <= timedelta(0):
            message = "The time limit passed before the call could start."
            return Failed(code="Timeout", message=message, retriable=True, unknown=now >= run.deadline)
        call = Call(target.app, target.method, target.path, to_json(run.input), self._headers(run, part), left)
        with telemetry.under_way(target.app):
            outcome = classify(await self._answer(call), self._settings.max_output_bytes)
        # A limit that the deadline or a slow store has cut short says nothing of the app: its ticket goes back unused.
        cut_short = isinstance(outcome, Failed) and outcome.unknown and left + SPENT < self.timeout(part.control.target)
        if place.ticket is not None and not cut_short:
            place.used = True
            self._breakers[target.app] = resilience.record(self._breakers[target.app], place.ticket, outcome, self._clock.now())
        return outcome

    def pause(self, part: Invocation, attempts: int, outcome: Failed, now: datetime) -> timedelta | None:
        """The pause before the next attempt, or None if the policy allows no more."""
        policy = self._policies.for_app(_http(part.control.target).app)
        elapsed = now - part.attempts[0].started_at
        decision = resilience.after_failure(policy.retry, attempts, outcome, elapsed, self._random)
        return decision.after if isinstance(decision, Again) else None

    async def _answer(self, call: Call) -> Answer | CallFailed:
        try:
            return await self._functions.call(call)
        except CallFailed as fault:
            return fault

    def _admit(self, app: str) -> Place | Refused:
        breaker = self._breaker(app)
        if breaker is None:
            return Place(None)
        decision, self._breakers[app] = resilience.allow(breaker, self._clock.now())
        return decision if isinstance(decision, Refused) else Place(decision.ticket)

    def _breaker(self, app: str) -> Breaker | None:
        rules = self._policies.for_app(app).breaker
        return self._breakers.setdefault(app, Breaker(rules)) if rules else None

    def _headers(self, run: Run, part: Invocation) -> dict[str, str]:
        invocation_id = f"{run.correlation_id}/{part.target}"
        headers = {
            "content-type": "application/json",
            "x-correlation-id": run.correlation_id,
            "x-invocation-id": invocation_id,
            "x-attempt": str(len(part.attempts)),
            "x-deadline": events.iso(run.deadline),
            "x-invocation-token": part.control.token,
            "x-invocation-url": events.invocation_url(self._settings.public_url or "", invocation_id),
            "traceparent": run.control.traceparent,
            "tracestate": run.control.tracestate,
        }
        return {name: value for name, value in headers.items() if value}

    def _gate(self, automation: str, target: Target) -> _Gate:
        name = (automation, target.name)
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = _Gate(_http(target).concurrency)
        return gate


def _http(target: Target) -> HttpTarget:
    assert target.http is not None  # noqa: S101 - work items of topic targets never come here
    return target.http
