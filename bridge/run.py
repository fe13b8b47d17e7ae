"""A run: the record of one request, one key in the store (contract 3.3).

What a caller may see stands in `Run`, `Invocation` and `Attempt`; what only the bridge needs stands under `control`, which `view` leaves
out. Field names are camelCase in JSON. A field that has never been set is absent; one that was set to null is null.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from bridge.catalog import Target
from bridge.masking import masked


class Status(StrEnum):
    """Where a run or an invocation stands; the last four are final. Invocations are never Canceling."""

    PENDING = "Pending"
    RUNNING = "Running"
    CANCELING = "Canceling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    TIMED_OUT = "TimedOut"

    @property
    def final(self) -> bool:
        """Whether it never changes again."""
        return self in _FINAL


_FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.TIMED_OUT})


class AttemptOutcome(StrEnum):
    """How one try went. Unknown: it may have run (time limit, lost connection, crash). Accepted: the result follows as an event."""

    RUNNING = "Running"
    ACCEPTED = "Accepted"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"

    @property
    def open(self) -> bool:
        """Whether an outcome may still arrive."""
        return self in (AttemptOutcome.RUNNING, AttemptOutcome.ACCEPTED)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Problem(_Record):
    """Why a run or an invocation has no output."""

    code: str
    message: str
    hint: str = ""
    errors: tuple[dict[str, Any], ...] = ()


class Progress(_Record):
    """How far a run is; percent from 0 to 100."""

    percent: float | None = None
    message: str | None = None


class Attempt(_Record):
    """One try of an invocation. No other try starts before `until`, unless this one has an outcome."""

    started_at: datetime
    outcome: AttemptOutcome
    duration_ms: int | None = None
    code: str | None = None
    message: str | None = None
    until: datetime | None = None
    ended_by: str | None = None


class LateResult(_Record):
    """What a function said after its invocation had ended."""

    status: Status
    received_at: datetime
    output: Any = None
    error: Problem | None = None


class InvocationControl(_Record):
    """The invocation's frozen plan, its token, and what only the bridge needs."""

    target: Target
    token: str
    percent: float = 0
    not_before: datetime | None = None
    ended_by: str | None = None


class Invocation(_Record):
    """One target's part of a run."""

    target: str
    status: Status
    attempts: tuple[Attempt, ...]
    control: InvocationControl
    output: Any = None
    error: Problem | None = None
    late_result: LateResult | None = None


class Control(_Record):
    """What the bridge knows of a run and a caller does not see. `write` names the write that stored this version."""

    digest: str
    submitter: str
    readers: tuple[str, ...] | None
    reply_topic: str
    request_id: str
    rule: str
    secret_paths: tuple[tuple[str, ...], ...] = ()
    traceparent: str = ""
    tracestate: str = ""
    cancel_at: datetime | None = None
    ended_by: str | None = None
    write: str = ""


class Run(_Record):
    """The record of one request."""

    correlation_id: str
    automation: str
    status: Status
    created_at: datetime
    updated_at: datetime
    deadline: datetime
    invocations: tuple[Invocation, ...]
    control: Control
    input: Any = None
    error: Problem | None = None
    progress: Progress | None = None
    expires_at: datetime | None = None
    rerun_of: str | None = None

    @property
    def output(self) -> Any:
        """One target: its output. Several: `{target: output}` of those that succeeded."""
        if len(self.invocations) == 1:
            return self.invocations[0].output
        return {part.target: part.output for part in self.invocations if part.status is Status.SUCCEEDED}

    @property
    def known_automation(self) -> str:
        """The automation's name where it is one of the catalogue; empty for a run that was refused, whose name may be anything."""
        return self.automation if self.invocations else ""

    @property
    def has_output(self) -> bool:
        """Whether there is anything to give: it succeeded, or some of several targets did."""
        return self.status is Status.SUCCEEDED or (
            self.status.final and len(self.invocations) > 1 and any(part.status is Status.SUCCEEDED for part in self.invocations)
        )

    def invocation(self, target: str) -> Invocation | None:
        """The part of that target, if the run has one."""
        return next((part for part in self.invocations if part.target == target), None)


_PRIVATE: Any = {"control": True, "invocations": {"__all__": {"control": True, "attempts": {"__all__": {"until", "ended_by"}}}}}


def dump(run: Run) -> bytes:
    """The whole record, for the store."""
    return run.model_dump_json(by_alias=True, exclude_unset=True).encode()


def load(value: bytes) -> Run:
    """Read what `dump` wrote."""
    return Run.model_validate_json(value)


def view(run: Run, *, leave_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What a caller may see, ready for JSON: without `control`, with `output` if there is one, `writeOnly` input masked."""
    shown: dict[str, Any] = run.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_PRIVATE)
    if "input" in shown and run.control.secret_paths:
        shown["input"] = masked(shown["input"], run.control.secret_paths)
    if run.has_output:
        shown["output"] = run.output
    for name in leave_out:
        shown.pop(name, None)
    return shown


def view_json(run: Run) -> bytes:
    """`view` as JSON."""
    return to_json(view(run))
