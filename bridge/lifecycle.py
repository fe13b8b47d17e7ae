"""The state changes of a run. Every function takes a run and returns the next one, or the same object if nothing changes.

A run reaches one final status and never leaves it: only `_end` sets one, and every function checks for one first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from bridge.catalog import completion
from bridge.nextstep import Start, clock_was_set_back, next_step
from bridge.outcome import Accepted, Failed, Outcome, Succeeded, outputsnotsent
from bridge.redaction import MAX_MESSAGE
from bridge.run import Attempt, AttemptOutcome, Invocation, LateResult, Progress, Run, RunError, Status

MAX_PROGRESS_MESSAGE = 500  #: characters
ACCEPTED = Accepted()  #: without an address to ask for the status


@dataclass(frozen=True, slots=True)
class Causation:
    """The cause of a change: an event's id (its redelivery publishes the reply again), the time, and how long an ended run is kept."""

    event: str
    at: datetime
    retention: timedelta


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The outcome of the attempt with this index, and the pause before the next attempt; None if no attempt follows."""

    attempt: int
    outcome: Outcome
    again: timedelta | None = None


def begin(run: Run, target: str, *, now: datetime, until: datetime, process: str = "") -> Run:
    """Add an attempt that starts now, in `process`. No other attempt may start before `until`."""
    invocation = run.invocation(target)
    if invocation is None or not isinstance(next_step(run, target, now), Start):
        return run
    attempt = Attempt(started_at=now, outcome=AttemptOutcome.RUNNING, until=until, process=process)
    changed = _replaced(run, invocation, status=Status.RUNNING, attempts=(*invocation.attempts, attempt))
    return _touched(changed, now, status=Status.RUNNING)


def accept(run: Run, target: str, attempt: int, *, now: datetime, outcome: Accepted = ACCEPTED) -> Run:
    """Record that the work is on its topic, or that its function answered 202.

    Now only a result, its status, a dead letter or the deadline ends it.
    """
    invocation = run.invocation(target)
    if invocation is None or run.status.final or not 0 <= attempt < len(invocation.attempts):
        return run
    if invocation.attempts[attempt].outcome is not AttemptOutcome.RUNNING:
        return run
    accepted = replace(
        invocation.attempts[attempt],
        outcome=AttemptOutcome.ACCEPTED,
        until=None,
        status_url=outcome.status_url,
        terminate_url=outcome.terminate_url,
        errors_written=outcome.errors_written or invocation.attempts[attempt].errors_written,
    )
    return _touched(
        _replaced(run, invocation, attempts=(*invocation.attempts[:attempt], accepted, *invocation.attempts[attempt + 1 :])), now
    )


def finish(run: Run, target: str, tried: AttemptResult, cause: Causation) -> Run:
    """Record the outcome of an attempt. If the invocation has ended already, it is kept as `lateResult`."""
    outcome, again = tried.outcome, tried.again
    invocation = run.invocation(target)
    if invocation is None:
        return run
    if run.status.final or invocation.status.final:
        return _late(run, invocation, outcome, cause)
    if isinstance(outcome, Accepted):
        return accept(run, target, tried.attempt, now=cause.at, outcome=outcome)
    attempts = _closed(invocation.attempts, tried.attempt, outcome, cause)
    if isinstance(outcome, Failed) and again is not None and run.status is not Status.CANCELING:
        if attempts is invocation.attempts:
            return run
        control = replace(invocation.control, not_before=cause.at + again)
        return _touched(_replaced(run, invocation, attempts=attempts, control=control), cause.at)
    superseded = Failed(code="Superseded", message="An earlier attempt gave the outcome.", unknown=True)
    for number, attempt in enumerate(attempts):
        attempts = _closed(attempts, number, superseded, cause) if attempt.outcome.open else attempts
    ended: dict[str, Any] = {"attempts": attempts, "control": replace(invocation.control, ended_by=cause.event, percent=100.0)}
    if isinstance(outcome, Succeeded):
        ended |= {"status": Status.SUCCEEDED, "output_json": outcome.output_json}
    else:
        ended |= {"status": Status.FAILED, "error": _error(outcome)}
    return _settle(_touched(_replaced(run, invocation, **ended), cause.at), cause)


def report(run: Run, target: str, *, percent: float | None, message: str | None, now: datetime) -> Run:
    """Record progress of one target. The percentage of a run is the mean over its targets, where an ended one counts as 100."""
    invocation = run.invocation(target)
    if invocation is None or invocation.status.final or run.status.final:
        return run
    if percent is None and not message:
        return run
    if percent is not None:
        run = _replaced(run, invocation, control=replace(invocation.control, percent=min(max(percent, 0.0), 100.0)))
    mean = sum(each.control.percent for each in run.invocations) / len(run.invocations)
    shown = run.progress or Progress()
    if percent is not None or shown.percent is not None:
        shown = replace(shown, percent=round(mean, 1))
    if message:
        shown = replace(shown, message=message[:MAX_PROGRESS_MESSAGE])
    return _touched(run, now, progress=shown)


def note_failure(run: Run, target: str, failure: Failed, *, now: datetime) -> Run:
    """Record on the current attempt why a delivery of its work failed. This ends nothing, because the broker delivers the work again."""
    invocation = run.invocation(target)
    if invocation is None or invocation.status.final or run.status.final or not _under_way(invocation):
        return run
    hint = f" {failure.hint}" if failure.hint else ""
    message = f"{failure.message.rstrip('.')[: MAX_MESSAGE - len(hint) - 1]}.{hint}"
    noted = replace(invocation.attempts[-1], code=failure.code, message=message)
    return _touched(_replaced(run, invocation, attempts=(*invocation.attempts[:-1], noted)), now)


def note_errors(run: Run, target: str, count: int, *, now: datetime) -> Run:
    """Record on the current attempt how many error records its function wrote in the last delivery of the work."""
    invocation = run.invocation(target)
    if invocation is None or invocation.status.final or run.status.final or not _under_way(invocation):
        return run
    if count == errors_noted(invocation):
        return run
    noted = replace(invocation.attempts[-1], errors_written=count or None)
    return _touched(_replaced(run, invocation, attempts=(*invocation.attempts[:-1], noted)), now)


def errors_noted(invocation: Invocation) -> int:
    """The number of error records that the function of the last attempt is known to have written."""
    return (invocation.attempts[-1].errors_written or 0) if invocation.attempts else 0


def last_failure(invocation: Invocation) -> str:
    """Why the last delivery of the current work failed, as a sentence after a blank; empty if none is known to have failed."""
    last = invocation.attempts[-1] if _under_way(invocation) else None
    return f" The last delivery failed with {last.code}: {last.message}" if last and last.code else ""


def ask_cancel(run: Run, *, now: datetime) -> Run:
    """Start to cancel: nothing more starts, and attempts that run may still finish."""
    if run.status.final or run.status is Status.CANCELING:
        return run
    return _touched(run, now, status=Status.CANCELING, control=replace(run.control, cancel_at=now))


def cancel(run: Run, grace: timedelta, cause: Causation) -> Run:
    """End a canceling run once no attempt is running, or when the grace period is over."""
    if run.status is not Status.CANCELING or run.control.cancel_at is None:
        return run
    over = cause.at >= run.control.cancel_at + grace or clock_was_set_back(run, cause.at)
    run = _each_open(run, lambda invocation: _canceled(invocation, cause) if over or not _under_way(invocation) else invocation)
    return _settle(run, cause)


def time_out(run: Run, cause: Causation) -> Run:
    """End a run whose deadline has passed. A best-effort run with a success has succeeded."""
    if run.status.final or cause.at < run.deadline:
        return run
    run = _each_open(
        run,
        lambda invocation: _ended(invocation, Status.TIMED_OUT, "DeadlineExceeded", "The deadline passed before an answer came.", cause),
    )
    if run.status is not Status.CANCELING and _verdict(run) is completion.Verdict.SUCCEEDED:
        return _end(run, Status.SUCCEEDED, cause)
    return _end(run, Status.TIMED_OUT, cause)


def expire(run: Run, target: str, cause: Causation) -> Run:
    """Like `time_out`, for the delivery of a target's work, unless that work has ended: this may be the last delivery that can reply."""
    invocation = run.invocation(target)
    return run if invocation is None or invocation.status.final else time_out(run, cause)


def was_ended_by(run: Run, event_id: str) -> bool:
    """Whether an event ended the run, or stands for the event that did.

    The only call of a run is made with its request or, if there is no room, with its work. One process may do the first while another does
    the second. If the request ended the run, the work may have to publish the reply.
    """
    ended_by = run.control.ended_by
    if ended_by == event_id or len(run.invocations) != 1:
        return ended_by == event_id
    return {ended_by, event_id} <= {run.control.request_id, f"{run.correlation_id}/{run.invocations[0].target}"}


def refuse(run: Run, error: RunError, status: Status, cause: Causation) -> Run:
    """End a run that may not start at all, so that a look-up explains why."""
    if run.status.final:
        return run
    return _end(replace(run, error=error), status, cause)


def _settle(run: Run, cause: Causation) -> Run:
    outcome = _verdict(run)
    if outcome is completion.Verdict.SUCCEEDED:
        return _end(run, Status.SUCCEEDED, cause)
    if run.status is Status.CANCELING:
        outstanding = any(not invocation.status.final for invocation in run.invocations)
        return run if outstanding else _end(run, Status.CANCELED, cause)
    return _end(run, Status.FAILED, cause) if outcome is completion.Verdict.FAILED else run


def _verdict(run: Run) -> completion.Verdict:
    """The verdict of `succeedsWhen`. A canceled invocation counts as unfinished, so that cancelling alone never makes a run succeed."""
    succeeded = sum(invocation.status is Status.SUCCEEDED for invocation in run.invocations)
    outstanding = sum(not invocation.status.final or invocation.status is Status.CANCELED for invocation in run.invocations)
    return completion.verdict(completion.rule(run.control.rule, len(run.invocations)), succeeded=succeeded, outstanding=outstanding)


def _end(run: Run, status: Status, cause: Causation) -> Run:
    if run.status.final:
        return run
    run = _each_open(run, lambda invocation: _canceled(invocation, cause))
    ended: dict[str, Any] = {"expires_at": cause.at + cause.retention, "control": replace(run.control, ended_by=cause.event)}
    if status is not Status.SUCCEEDED and run.error is None:
        ended["error"] = _explanation(run, status)
    return _touched(run, cause.at, status=status, **ended)


def _explanation(run: Run, status: Status) -> RunError:
    if status is Status.CANCELED:
        return RunError(code="Canceled", message="The run was canceled on request.")
    if status is Status.TIMED_OUT:
        waited = ", ".join(invocation.target for invocation in run.invocations if invocation.status is Status.TIMED_OUT)
        return RunError(code="DeadlineExceeded", message=f"The deadline passed while waiting for {waited}.")
    failed = [invocation for invocation in run.invocations if invocation.error is not None]
    if len(run.invocations) == 1 and failed and failed[0].error:
        return failed[0].error
    named = ", ".join(f"{invocation.target} ({invocation.error.code})" for invocation in failed if invocation.error)
    message = f"{len(failed)} of {len(run.invocations)} targets failed, and `{run.control.rule}` asks for more: {named}."
    return RunError(code="TargetsFailed", message=message, hint="Each invocation has its own error.")


def _late(run: Run, invocation: Invocation, outcome: Outcome, cause: Causation) -> Run:
    if invocation.late_result is not None or invocation.control.ended_by == cause.event or isinstance(outcome, Accepted):
        return run
    if isinstance(outcome, Succeeded):
        late = LateResult(status=Status.SUCCEEDED, received_at=cause.at, output_json=outcome.output_json)
    else:
        late = LateResult(status=Status.FAILED, received_at=cause.at, error=_error(outcome))
    return _replaced(run, invocation, late_result=late)


def _closed(attempts: tuple[Attempt, ...], number: int, outcome: Succeeded | Failed, cause: Causation) -> tuple[Attempt, ...]:
    if not 0 <= number < len(attempts):
        return attempts
    attempt = attempts[number]
    if attempt.outcome in (AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED):
        return attempts
    passed = max(0, round((cause.at - attempt.started_at).total_seconds() * 1000))
    update: dict[str, Any] = {"duration_ms": passed, "until": None, "ended_by": cause.event, "status_url": "", "terminate_url": ""}
    if isinstance(outcome, Succeeded):
        code = outputsnotsent.CODE if outcome.not_sent else None
        update |= {"outcome": AttemptOutcome.SUCCEEDED, "code": code, "message": outcome.not_sent or None}
    else:
        result = AttemptOutcome.UNKNOWN if outcome.unknown else AttemptOutcome.FAILED
        update |= {"outcome": result, "code": outcome.code, "message": outcome.message}
    if outcome.errors_written:
        update["errors_written"] = outcome.errors_written
    return (*attempts[:number], replace(attempt, **update), *attempts[number + 1 :])


def _error(outcome: Failed) -> RunError:
    return RunError(code=outcome.code, message=outcome.message, hint=outcome.hint)


def _under_way(invocation: Invocation) -> bool:
    return bool(invocation.attempts) and invocation.attempts[-1].outcome.open


def _canceled(invocation: Invocation, cause: Causation) -> Invocation:
    return _ended(invocation, Status.CANCELED, "Canceled", "The run ended before an answer came.", cause)


def _ended(invocation: Invocation, status: Status, code: str, message: str, cause: Causation) -> Invocation:
    attempts = invocation.attempts
    if _under_way(invocation):
        told = f"{message}{last_failure(invocation)}"[:MAX_MESSAGE]
        attempts = _closed(attempts, len(attempts) - 1, Failed(code=code, message=told, unknown=True), cause)
    control = replace(invocation.control, ended_by=cause.event, percent=100.0)
    return replace(invocation, status=status, attempts=attempts, control=control)


def _each_open(run: Run, change: Callable[[Invocation], Invocation]) -> Run:
    invocations = tuple(invocation if invocation.status.final else change(invocation) for invocation in run.invocations)
    if all(new is old for new, old in zip(invocations, run.invocations, strict=True)):
        return run
    return replace(run, invocations=invocations)


def _replaced(run: Run, invocation: Invocation, **update: Any) -> Run:
    changed = replace(invocation, **update)
    if len(run.invocations) == 1:
        return replace(run, invocations=(changed,))
    return replace(run, invocations=tuple(changed if each is invocation else each for each in run.invocations))


def _touched(run: Run, now: datetime, **update: Any) -> Run:
    return replace(run, updated_at=max(now, run.updated_at), **update)
