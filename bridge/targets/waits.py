"""Explains what an unfinished run is waiting for (`waitingFor`). The answer is computed on request and never stored."""

from __future__ import annotations

from enum import StrEnum

from bridge.context import Context
from bridge.run import Attempt, AttemptOutcome, Invocation, Run, Status
from bridge.runview import WaitingFor
from bridge.targets.http import HttpTargets
from bridge.targets.unserved import UnservedTargets


class WaitReason(StrEnum):
    """The reasons for waiting, with the values of the field `reason`."""

    CANCEL = "Cancel"
    BREAKER_OPEN = "BreakerOpen"
    TARGET_BUSY = "TargetBusy"
    NEXT_ATTEMPT = "NextAttempt"
    FUNCTION = "Function"
    STATUS_OF_FUNCTION = "StatusOfFunction"
    RESULT_EVENT = "ResultEvent"
    NOBODY_SERVES = "NobodyServes"
    APP_STARTING = "AppStarting"
    DELIVERY = "Delivery"


class Waits:
    """Explains unfinished runs."""

    def __init__(self, context: Context, http_targets: HttpTargets, unserved: UnservedTargets) -> None:
        self._run_clock, self._grace = context.run_clock, context.settings.cancel_grace
        self._http_targets, self._unserved = http_targets, unserved

    def of(self, run: Run) -> WaitingFor | None:
        """What the first unfinished invocation of the run is waiting for; None if the run has ended."""
        if run.status.final:
            return None
        if run.status is Status.CANCELING and run.control.cancel_at is not None:
            until = run.control.cancel_at + self._grace
            return WaitingFor(WaitReason.CANCEL, "It is being canceled: what runs may still finish until then.", until)
        waiting = next((each for each in run.invocations if not each.status.final), None)
        return self._waiting(run, waiting) if waiting is not None else None

    def _waiting(self, run: Run, invocation: Invocation) -> WaitingFor:
        name, last = invocation.target, invocation.attempts[-1] if invocation.attempts else None
        target, not_before = invocation.control.target, invocation.control.not_before
        called = target.http is not None and last is not None and last.outcome.open
        if not called and (unserved := self._unserved.why(run.automation, target)):
            until = not_before if target.http is not None and not_before is not None else run.deadline
            return WaitingFor(WaitReason.NOBODY_SERVES, f"{name}: {unserved}", until)
        if last is not None and last.outcome.open:
            return _under_way(run, name, last)
        if not_before is not None and not_before > self._run_clock.now(run):
            why = f"{last.code}: {last.message}" if last is not None and last.code else "it failed"
            return WaitingFor(
                WaitReason.NEXT_ATTEMPT, f"{name}: the next attempt starts then, because the last one failed ({why}).", not_before
            )
        return self._not_started(run, invocation)

    def _not_started(self, run: Run, invocation: Invocation) -> WaitingFor:
        name = invocation.target
        if invocation.control.target.http is None:
            return WaitingFor(WaitReason.DELIVERY, f"{name}: its work is sent to its topic next.")
        if self._http_targets.is_starting(invocation):
            return WaitingFor(
                WaitReason.APP_STARTING, f"{name}: its app is being started; an environment may have to be made for it first."
            )
        if (until := self._http_targets.breaker_open_until(run, invocation)) is not None:
            return WaitingFor(WaitReason.BREAKER_OPEN, f"{name}: the circuit breaker is open after failures; a call is tried then.", until)
        if self._http_targets.is_busy(run, invocation):
            return WaitingFor(WaitReason.TARGET_BUSY, f"{name}: as many calls run as its concurrency allows.")
        return WaitingFor(WaitReason.DELIVERY, f"{name}: its work waits on the bus.")


def _under_way(run: Run, name: str, attempt: Attempt) -> WaitingFor:
    since = attempt.started_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    if attempt.outcome is AttemptOutcome.RUNNING:
        return WaitingFor(WaitReason.FUNCTION, f"{name}: the function has been called at {since} and has not answered yet.", attempt.until)
    if attempt.status_url:
        return WaitingFor(WaitReason.STATUS_OF_FUNCTION, f"{name}: the function is still working; its status is polled.", run.deadline)
    return WaitingFor(
        WaitReason.RESULT_EVENT, f"{name}: its work was sent at {since}; a result event, or the host's report, ends it.", run.deadline
    )
