"""A run as callers see it: with `output` if there is one, and without data that only the bridge needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, field
from pydantic_core import to_json

from bridge.redaction import masked
from bridge.run import Invocation, LateResult, Progress, Record, Run, RunError, ShownAttempt, Status


class WaitingFor(Record, frozen=True, kw_only=False):
    """What an unfinished run is waiting for, the latest end of that, and the same in words."""

    reason: str
    message: str
    until: datetime | None = None


class _InvocationView(Record, frozen=True):
    target: str
    status: Status
    attempts: tuple[Any, ...]
    output_json: Raw | UnsetType = field(name="output", default=UNSET)
    error: RunError | None = None
    late_result: LateResult | None = None


class _RunView(Record, frozen=True):
    correlation_id: str
    automation: str
    status: Status
    created_at: datetime
    updated_at: datetime
    deadline: datetime
    invocations: tuple[_InvocationView, ...]
    input_json: Raw | UnsetType = field(name="input", default=UNSET)
    output_json: Raw | UnsetType = field(name="output", default=UNSET)
    error: RunError | None = None
    progress: Progress | None = None
    expires_at: datetime | None = None
    rerun_of: str | None = None
    output_url: str = ""
    waiting_for: WaitingFor | None = None


def view_json(  # noqa: PLR0913 - parts of the view
    run: Run,
    *,
    with_input: bool = True,
    with_outputs: bool = True,
    brief: bool = False,
    output_url: str = "",
    waiting_for: WaitingFor | None = None,
) -> bytes:
    """The run as callers see it, as JSON: without `control`, with `output` if there is one, and with `writeOnly` input redacted.

    `brief` leaves out attempts and the details of errors. `output_url` replaces an output that is left out.
    """
    view = _RunView(
        correlation_id=run.correlation_id,
        automation=run.automation,
        status=run.status,
        created_at=run.created_at,
        updated_at=run.updated_at,
        deadline=run.deadline,
        invocations=tuple(_shown(each, with_outputs=with_outputs, brief=brief) for each in run.invocations),
        input_json=_shown_input(run) if with_input else UNSET,
        output_json=Raw(run.output_json) if with_outputs and run.has_output else UNSET,
        error=_shortened(run.error) if brief and run.error else run.error,
        progress=run.progress,
        expires_at=run.expires_at,
        rerun_of=run.rerun_of,
        output_url=output_url,
        waiting_for=waiting_for,
    )
    return msgspec.json.encode(view)


def _shown_input(run: Run) -> Raw | UnsetType:
    if isinstance(run.input_json, UnsetType) or not run.control.secret_paths:
        return run.input_json
    return Raw(to_json(masked(run.input, run.control.secret_paths)))


def _shown(invocation: Invocation, *, with_outputs: bool, brief: bool) -> _InvocationView:
    if brief:
        return _InvocationView(target=invocation.target, status=invocation.status, attempts=())
    return _InvocationView(
        target=invocation.target,
        status=invocation.status,
        attempts=tuple(
            ShownAttempt(
                started_at=each.started_at,
                outcome=each.outcome,
                duration_ms=each.duration_ms,
                code=each.code,
                message=each.message,
                errors_written=each.errors_written,
            )
            for each in invocation.attempts
        ),
        output_json=invocation.output_json if with_outputs else UNSET,
        error=invocation.error,
        late_result=invocation.late_result if with_outputs else None,
    )


def _shortened(error: RunError) -> RunError:
    return RunError(code=error.code, message=error.message[:2_000])
