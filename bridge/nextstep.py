"""What to do next with the work of a target: start an attempt, wait for one, ask for its status, or nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.run import Invocation, Run, Status

#: By how much the clocks of two replicas may differ. If a run was changed later from now than this, the clock was set back meanwhile.
CLOCKS_DIFFER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing may start: the invocation has ended, must not start any more, or waits for a result."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline of the run has passed, and nobody has ended it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at `until`: another attempt may still be running, or the next one may not start before."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The attempt with this index has no recorded outcome, and its time is over or its process has ended."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Start:
    """The next attempt may start."""


@dataclass(frozen=True, slots=True)
class AskStatus:
    """The attempt with this index was accepted, and its status can be asked."""

    attempt: int


Step = Over | Expired | Wait | Lapsed | Start | AskStatus
IsOver = Callable[[str], bool]
"""Says of the id of a process whether it has certainly ended."""


def next_step(run: Run, target: str, now: datetime, *, is_over: IsOver = lambda _process: False) -> Step:
    """What to do next with the work of this target. Attempts of a process that `is_over` have lapsed."""
    invocation = run.invocation(target)
    if invocation is None or invocation.status.final or run.status.final:
        return Over()
    if now >= run.deadline:
        return Expired()
    last = invocation.attempts[-1] if invocation.attempts else None
    if last is not None and last.status_url:
        return AskStatus(len(invocation.attempts) - 1)
    if last is not None and last.outcome.open:
        # While a run is being canceled, too: that attempt may end the run, and who made it may end before the reply is sent.
        return _under_way_until(last.until, len(invocation.attempts) - 1, now, process_is_over=is_over(last.process))
    return Over() if run.status is Status.CANCELING else _next_attempt(run, invocation, now)


def _under_way_until(until: datetime | None, attempt: int, now: datetime, *, process_is_over: bool) -> Over | Wait | Lapsed:
    if until is None:
        return Over()
    return Wait(until) if now < until and not process_is_over else Lapsed(attempt)


def _next_attempt(run: Run, invocation: Invocation, now: datetime) -> Wait | Start:
    if invocation.control.not_before is not None and now < invocation.control.not_before and not clock_was_set_back(run, now):
        return Wait(invocation.control.not_before)
    return Start()


def clock_was_set_back(run: Run, now: datetime) -> bool:
    """Whether the clock was set back since the run was changed, so that nobody knows how long a pause that began before still lasts."""
    return now + CLOCKS_DIFFER < run.updated_at
