"""Writes down how attempts went and how runs ended, and sends the reply of a run that ended: always in this order (DESIGN 4)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge import lifecycle, telemetry
from bridge.crashpoints import CrashPoint, passed
from bridge.discretion import discreet
from bridge.envelope import Event
from bridge.errors import Malformed
from bridge.lifecycle import Cause, Tried
from bridge.outcome import Accepted, Failed, Outcome
from bridge.parts import Parts
from bridge.run import AttemptOutcome, Invocation, Run


class Recorder:
    """The only part of the pipeline that ends runs."""

    def __init__(self, parts: Parts) -> None:
        self._results, self._replies, self._clock = parts.results, parts.replies, parts.clock
        self._retention = parts.settings.retention

    def cause(self, event_id: str) -> Cause:
        """What happens now because of this event."""
        return Cause(event_id, self._clock.now(), self._retention)

    async def addressed(self, event: Event, invocation_id: str, *, recall: bool = False) -> tuple[Run, Invocation]:
        """The run and the part that an event speaks of; with `recall`, as they were a moment ago.

        Raises Malformed unless the event carries that part's token; Unavailable.
        """
        correlation_id, _, target = invocation_id.rpartition("/")
        look = self._results.recall if recall else self._results.find
        run = await look(correlation_id) if correlation_id else None
        part = run.invocation(target) if run else None
        token = part.control.token if part else ""
        if not hmac.compare_digest(token.encode(), event.get("invocationtoken").encode()) or run is None or part is None:
            raise Malformed(
                f"No invocation {invocation_id[:130]!r} has this token.", hint="Echo causationid and invocationtoken of the event."
            )
        return run, part

    async def tried(self, run: Run, target: str, tried: Tried, event_id: str) -> Run:
        """Write down how an attempt went. No answer by the deadline is the deadline's end, not the function's. Raises Unavailable."""
        tried = replace(tried, outcome=discreet(tried.outcome, run))
        cause = self.cause(event_id)
        timed_out = isinstance(tried.outcome, Failed) and tried.outcome.unknown and cause.at >= run.deadline

        def change(current: Run) -> Run:
            return lifecycle.time_out(current, cause) if timed_out else lifecycle.finish(current, target, tried, cause)

        before, after = await self._changed(run, change)
        if before.status.final:
            telemetry.step("result.late", automation=run.automation, run=run.correlation_id, target=target)
        else:
            fields = _shown(tried) | ({"again_in": tried.again.total_seconds()} if tried.again is not None else {})
            telemetry.step("attempt.ended", automation=run.automation, run=run.correlation_id, target=target, **fields)
        _tell_end(before, after)
        return after

    async def ended(self, run: Run, change: Callable[[Run], Run]) -> Run:
        """Apply what a deadline or a wish to cancel means for the run as it stands. Raises Unavailable."""
        before, after = await self._changed(run, change)
        _tell_end(before, after)
        return after

    async def _changed(self, run: Run, change: Callable[[Run], Run]) -> tuple[Run, Run]:
        passed(CrashPoint.CALLED_NOT_SAVED)
        return await self._results.change(run.correlation_id, change) or (run, run)

    async def reply_if_ended(self, run: Run, event_id: str) -> None:
        """The event that ended the run sends the reply, again whenever it is delivered again. Raises Unavailable."""
        if not run.status.final or run.control.ended_by != event_id:
            return
        passed(CrashPoint.ENDED_NOT_REPLIED)
        await self._replies.send(run)
        passed(CrashPoint.REPLIED_NOT_ACKED)


def _tell_end(before: Run, after: Run) -> None:
    if before.status.final or not after.status.final:
        return
    seconds = (after.updated_at - after.created_at).total_seconds()
    telemetry.ended(after.known_automation, after.status, seconds, after.correlation_id)


def _shown(tried: Tried) -> dict[str, Any]:
    return {"attempt": tried.attempt + 1, "outcome": _name(tried.outcome)} | (
        {"code": tried.outcome.code} if isinstance(tried.outcome, Failed) else {}
    )


def _name(outcome: Outcome) -> str:
    match outcome:
        case Accepted():
            return AttemptOutcome.ACCEPTED
        case Failed(unknown=True):
            return AttemptOutcome.UNKNOWN
        case Failed():
            return AttemptOutcome.FAILED
    return AttemptOutcome.SUCCEEDED
