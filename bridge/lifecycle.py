"""How a run changes: every function takes a run and gives the next one, or the very same object when nothing changes.

A run reaches one final status and never leaves it (DESIGN 3.5.2): `_end` is the only place that sets one, and every change asks first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge import plan
from bridge.outcome import Accepted, Failed, Outcome, Succeeded
from bridge.run import Attempt, AttemptOutcome, Invocation, LateResult, Problem, Progress, Run, Status

MAX_PROGRESS_MESSAGE = 500  #: characters


@dataclass(frozen=True, slots=True)
class Cause:
    """What brings a change: the id of the event, kept so that its redelivery sends the reply again; when; how long an ended run is kept."""

    event: str
    at: datetime
    retention: timedelta


@dataclass(frozen=True, slots=True)
class Tried:
    """How the attempt with this index went, and the pause before the next one, if one follows."""

    attempt: int
    outcome: Outcome
    again: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing to start: the invocation has ended, may not start, or waits for a result."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back at `until`: another attempt may still be running, or the next may not start yet."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The attempt with this index never reported its outcome and its time is over."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Start:
    """The next attempt may start."""


Step = Over | Wait | Lapsed | Start


def next_step(run: Run, target: str, now: datetime) -> Step:
    """What a work item for this target should do."""
    part = run.invocation(target)
    if part is None or part.status.final or run.status.final or run.status is Status.CANCELING or now >= run.deadline:
        return Over()
    last = part.attempts[-1] if part.attempts else None
    if last is not None and last.outcome.open:
        if last.until is None:
            return Over()
        return Wait(last.until) if now < last.until else Lapsed(len(part.attempts) - 1)
    if part.control.not_before is not None and now < part.control.not_before:
        return Wait(part.control.not_before)
    return Start()


def begin(run: Run, target: str, *, now: datetime, until: datetime) -> Run:
    """Save that an attempt starts; until `until` nobody else may start one."""
    part = run.invocation(target)
    if part is None or not isinstance(next_step(run, target, now), Start):
        return run
    attempt = Attempt(started_at=now, outcome=AttemptOutcome.RUNNING, until=until)
    changed = _replaced(run, part, status=Status.RUNNING, attempts=(*part.attempts, attempt))
    return _touched(changed, now, status=Status.RUNNING)


def accept(run: Run, target: str, attempt: int, *, now: datetime) -> Run:
    """The work is on its topic, or its function works on: from here on only a result, a dead letter or the deadline ends the attempt."""
    part = run.invocation(target)
    if part is None or run.status.final or not 0 <= attempt < len(part.attempts):
        return run
    if part.attempts[attempt].outcome is not AttemptOutcome.RUNNING:
        return run
    accepted = part.attempts[attempt].model_copy(update={"outcome": AttemptOutcome.ACCEPTED, "until": None})
    return _touched(_replaced(run, part, attempts=(*part.attempts[:attempt], accepted, *part.attempts[attempt + 1 :])), now)


def finish(run: Run, target: str, tried: Tried, cause: Cause) -> Run:
    """Record how an attempt went. What comes after the end is kept as `lateResult`."""
    outcome, again = tried.outcome, tried.again
    part = run.invocation(target)
    if part is None:
        return run
    if run.status.final or part.status.final:
        return _late(run, part, outcome, cause)
    if isinstance(outcome, Accepted):
        return accept(run, target, tried.attempt, now=cause.at)
    attempts = _closed(part.attempts, tried.attempt, outcome, cause)
    if isinstance(outcome, Failed) and again is not None and run.status is not Status.CANCELING:
        if attempts is part.attempts:
            return run
        control = part.control.model_copy(update={"not_before": cause.at + again})
        return _touched(_replaced(run, part, attempts=attempts, control=control), cause.at)
    superseded = Failed(code="Superseded", message="An earlier attempt gave the outcome.", unknown=True)
    for number, attempt in enumerate(attempts):
        attempts = _closed(attempts, number, superseded, cause) if attempt.outcome.open else attempts
    ended: dict[str, Any] = {"attempts": attempts, "control": part.control.model_copy(update={"ended_by": cause.event, "percent": 100.0})}
    if isinstance(outcome, Succeeded):
        ended |= {"status": Status.SUCCEEDED, "output": outcome.output}
    else:
        ended |= {"status": Status.FAILED, "error": _problem(outcome)}
    return _settle(_touched(_replaced(run, part, **ended), cause.at), cause)


def report(run: Run, target: str, *, percent: float | None, message: str | None, now: datetime) -> Run:
    """Progress of one target; a run's percent is the mean of its targets', where one that ended counts 100."""
    part = run.invocation(target)
    if part is None or part.status.final or run.status.final:
        return run
    if percent is None and not message:
        return run
    if percent is not None:
        run = _replaced(run, part, control=part.control.model_copy(update={"percent": min(max(percent, 0.0), 100.0)}))
    mean = sum(each.control.percent for each in run.invocations) / len(run.invocations)
    shown: dict[str, Any] = run.progress.model_dump(exclude_unset=True) if run.progress else {}
    if percent is not None or "percent" in shown:
        shown["percent"] = round(mean, 1)
    if message:
        shown["message"] = message[:MAX_PROGRESS_MESSAGE]
    return _touched(run, now, progress=Progress(**shown))


def ask_cancel(run: Run, *, now: datetime) -> Run:
    """Nothing more starts; what runs may still finish."""
    if run.status.final or run.status is Status.CANCELING:
        return run
    control = run.control.model_copy(update={"cancel_at": now})
    return _touched(run.model_copy(update={"control": control}), now, status=Status.CANCELING)


def cancel(run: Run, grace: timedelta, cause: Cause) -> Run:
    """End a canceling run once nothing is outstanding, or when the grace is over."""
    if run.status is not Status.CANCELING or run.control.cancel_at is None:
        return run
    over = cause.at >= run.control.cancel_at + grace
    run = _each_open(run, lambda part: _canceled(part, cause) if over or not _under_way(part) else part)
    return _settle(run, cause)


def time_out(run: Run, cause: Cause) -> Run:
    """End a run whose deadline has passed; a best-effort run with a success has succeeded."""
    if run.status.final or cause.at < run.deadline:
        return run
    run = _each_open(
        run, lambda part: _ended(part, Status.TIMED_OUT, "DeadlineExceeded", "The deadline passed before an answer came.", cause)
    )
    if run.status is not Status.CANCELING and _verdict(run) is plan.Verdict.SUCCEEDED:
        return _end(run, Status.SUCCEEDED, cause)
    return _end(run, Status.TIMED_OUT, cause)


def refuse(run: Run, problem: Problem, status: Status, cause: Cause) -> Run:
    """End a run that may not start at all, so that a look-up explains why."""
    if run.status.final:
        return run
    return _end(run.model_copy(update={"error": problem}), status, cause)


def _settle(run: Run, cause: Cause) -> Run:
    outcome = _verdict(run)
    if outcome is plan.Verdict.SUCCEEDED:
        return _end(run, Status.SUCCEEDED, cause)
    if run.status is Status.CANCELING:
        outstanding = any(not part.status.final for part in run.invocations)
        return run if outstanding else _end(run, Status.CANCELED, cause)
    return _end(run, Status.FAILED, cause) if outcome is plan.Verdict.FAILED else run


def _verdict(run: Run) -> plan.Verdict:
    """The rule's word. A canceled invocation counts as one that never ended, so that cancelling alone never makes a success."""
    succeeded = sum(part.status is Status.SUCCEEDED for part in run.invocations)
    outstanding = sum(not part.status.final or part.status is Status.CANCELED for part in run.invocations)
    return plan.verdict(plan.rule(run.control.rule, len(run.invocations)), succeeded=succeeded, outstanding=outstanding)


def _end(run: Run, status: Status, cause: Cause) -> Run:
    if run.status.final:
        return run
    run = _each_open(run, lambda part: _canceled(part, cause))
    ended: dict[str, Any] = {"expires_at": cause.at + cause.retention, "control": run.control.model_copy(update={"ended_by": cause.event})}
    if status is not Status.SUCCEEDED and run.error is None:
        ended["error"] = _explanation(run, status)
    return _touched(run.model_copy(update=ended), cause.at, status=status)


def _explanation(run: Run, status: Status) -> Problem:
    if status is Status.CANCELED:
        return Problem(code="Canceled", message="The run was canceled on request.")
    if status is Status.TIMED_OUT:
        waited = ", ".join(part.target for part in run.invocations if part.status is Status.TIMED_OUT)
        return Problem(code="DeadlineExceeded", message=f"The deadline passed while waiting for {waited}.")
    failed = [part for part in run.invocations if part.error is not None]
    if len(run.invocations) == 1 and failed and failed[0].error:
        return failed[0].error
    named = ", ".join(f"{part.target} ({part.error.code})" for part in failed if part.error)
    message = f"{len(failed)} of {len(run.invocations)} targets failed, and `{run.control.rule}` asks for more: {named}."
    return Problem(code="TargetsFailed", message=message, hint="Each invocation has its own error.")


def _late(run: Run, part: Invocation, outcome: Outcome, cause: Cause) -> Run:
    if part.late_result is not None or part.control.ended_by == cause.event or isinstance(outcome, Accepted):
        return run
    if isinstance(outcome, Succeeded):
        late = LateResult(status=Status.SUCCEEDED, received_at=cause.at, output=outcome.output)
    else:
        late = LateResult(status=Status.FAILED, received_at=cause.at, error=_problem(outcome))
    return _replaced(run, part, late_result=late)


def _closed(attempts: tuple[Attempt, ...], number: int, outcome: Succeeded | Failed, cause: Cause) -> tuple[Attempt, ...]:
    if not 0 <= number < len(attempts):
        return attempts
    attempt = attempts[number]
    if attempt.outcome in (AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED):
        return attempts
    passed = max(0, round((cause.at - attempt.started_at).total_seconds() * 1000))
    update: dict[str, Any] = {"duration_ms": passed, "until": None, "ended_by": cause.event}
    if isinstance(outcome, Succeeded):
        update |= {"outcome": AttemptOutcome.SUCCEEDED}
    else:
        said = AttemptOutcome.UNKNOWN if outcome.unknown else AttemptOutcome.FAILED
        update |= {"outcome": said, "code": outcome.code, "message": outcome.message}
    return (*attempts[:number], attempt.model_copy(update=update), *attempts[number + 1 :])


def _problem(outcome: Failed) -> Problem:
    return Problem(code=outcome.code, message=outcome.message, **({"hint": outcome.hint} if outcome.hint else {}))


def _under_way(part: Invocation) -> bool:
    return bool(part.attempts) and part.attempts[-1].outcome.open


def _canceled(part: Invocation, cause: Cause) -> Invocation:
    return _ended(part, Status.CANCELED, "Canceled", "The run ended before an answer came.", cause)


def _ended(part: Invocation, status: Status, code: str, message: str, cause: Cause) -> Invocation:
    attempts = part.attempts
    if _under_way(part):
        attempts = _closed(attempts, len(attempts) - 1, Failed(code=code, message=message, unknown=True), cause)
    control = part.control.model_copy(update={"ended_by": cause.event, "percent": 100.0})
    return part.model_copy(update={"status": status, "attempts": attempts, "control": control})


def _each_open(run: Run, change: Callable[[Invocation], Invocation]) -> Run:
    parts = tuple(part if part.status.final else change(part) for part in run.invocations)
    if all(new is old for new, old in zip(parts, run.invocations, strict=True)):
        return run
    return run.model_copy(update={"invocations": parts})


def _replaced(run: Run, part: Invocation, **update: Any) -> Run:
    changed = part.model_copy(update=update)
    return run.model_copy(update={"invocations": tuple(changed if each is part else each for each in run.invocations)})


def _touched(run: Run, now: datetime, **update: Any) -> Run:
    return run.model_copy(update={"updated_at": max(now, run.updated_at), **update})
