"""A run: the record of one request, stored under one key.

Data that only the bridge needs is under `control` and in the last fields of an attempt; `runview` leaves it out. Field names are camelCase
in JSON. A field that was never set is absent; one that was set to null is null. Inputs and outputs stay the JSON bytes that arrived: they
are copied into records, calls and answers, and parsed only where a decision needs the value.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, field
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from bridge.catalog.target import Target
from bridge.errors import LaterRelease

#: Of the stored form; a record without a version has the same fields. A field that an earlier release may ignore needs no new number. A
#: value that it cannot read does, such as another status or kind of target: it then leaves the run to the bridges that can read it.
VERSION = 1


class Status(StrEnum):
    """The status of a run or an invocation. The last four are final. Invocations are never Canceling."""

    PENDING = "Pending"
    RUNNING = "Running"
    CANCELING = "Canceling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    TIMED_OUT = "TimedOut"

    @property
    def final(self) -> bool:
        """Whether the status never changes again."""
        return self in _FINAL


_FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.TIMED_OUT})


class AttemptOutcome(StrEnum):
    """The outcome of an attempt. Unknown: it may have run (time limit, lost connection, crash). Accepted: a result event follows."""

    RUNNING = "Running"
    ACCEPTED = "Accepted"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"

    @property
    def open(self) -> bool:
        """Whether an outcome may still arrive."""
        return self in (AttemptOutcome.RUNNING, AttemptOutcome.ACCEPTED)


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The base of the JSON objects in a stored run."""


class RunError(Record, frozen=True):
    """Why a run or an invocation has no output."""

    code: str
    message: str
    hint: str = ""
    errors: tuple[dict[str, Any], ...] = ()


class Progress(Record, frozen=True):
    """The progress of a run. Percent is from 0 to 100."""

    percent: float | None = None
    message: str | None = None


class ShownAttempt(Record, frozen=True):
    """What callers see of an attempt."""

    started_at: datetime
    outcome: AttemptOutcome
    duration_ms: int | None = None
    code: str | None = None
    message: str | None = None
    errors_written: int | None = None


class Attempt(ShownAttempt, frozen=True):
    """One try of an invocation, begun by `process`. No other attempt starts before `until`, unless this one has an outcome.

    The status of an accepted attempt may be asked at `status_url`. Both addresses are secrets.
    """

    until: datetime | None = None
    ended_by: str | None = None
    process: str = ""
    status_url: str = ""
    terminate_url: str = ""


class LateResult(Record, frozen=True):
    """A result that a function returned after its invocation had ended."""

    status: Status
    received_at: datetime
    output_json: Raw | UnsetType = field(name="output", default=UNSET)
    error: RunError | None = None


class InvocationControl(Record, frozen=True):
    """The target as the catalogue defined it when the run was created, the token, and other data that only the bridge needs."""

    target: Target
    token: str
    percent: float = 0.0
    not_before: datetime | None = None
    ended_by: str | None = None


class Invocation(Record, frozen=True):
    """One target's part of a run."""

    target: str
    status: Status
    attempts: tuple[Attempt, ...]
    control: InvocationControl
    output_json: Raw | UnsetType = field(name="output", default=UNSET)
    error: RunError | None = None
    late_result: LateResult | None = None

    @property
    def output(self) -> Any:
        """The output as a value; None also if there is no output."""
        return json_value(self.output_json)


class Control(Record, frozen=True):
    """Data of a run that callers do not see.

    `write` identifies the write that stored this version; `clock` is the clock that the times of the run follow, see `runs.runclock`.
    """

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
    clock: str = ""


class Run(Record, frozen=True):
    """The record of one request."""

    correlation_id: str
    automation: str
    status: Status
    created_at: datetime
    updated_at: datetime
    deadline: datetime
    invocations: tuple[Invocation, ...]
    control: Control
    input_json: Raw | UnsetType = field(name="input", default=UNSET)
    error: RunError | None = None
    progress: Progress | None = None
    expires_at: datetime | None = None
    rerun_of: str | None = None
    version: int = 0

    @property
    def input(self) -> Any:
        """The input as a value."""
        return json_value(self.input_json)

    @property
    def output(self) -> Any:
        """With one target its output, with several `{target: output}` of those that succeeded."""
        return from_json(self.output_json)

    @property
    def output_json(self) -> bytes:
        """`output` as JSON."""
        if len(self.invocations) == 1:
            return json_bytes(self.invocations[0].output_json)
        succeeded = (invocation for invocation in self.invocations if invocation.status is Status.SUCCEEDED)
        return b"{" + b",".join(to_json(each.target) + b":" + json_bytes(each.output_json) for each in succeeded) + b"}"

    @property
    def known_automation(self) -> str:
        """The automation's name if the catalogue had it; empty for a run that was refused, whose name may be any text."""
        return self.automation if self.invocations else ""

    @property
    def has_output(self) -> bool:
        """Whether there is an output: the run succeeded, or at least one of several targets did."""
        return self.status is Status.SUCCEEDED or (
            self.status.final and len(self.invocations) > 1 and any(each.status is Status.SUCCEEDED for each in self.invocations)
        )

    def invocation(self, target: str) -> Invocation | None:
        """The invocation of this target, or None."""
        for invocation in self.invocations:
            if invocation.target == target:
                return invocation
        return None


def json_value(written: Raw | UnsetType) -> Any:
    """The value of the JSON bytes of a record; None if there are none."""
    return None if isinstance(written, UnsetType) else from_json(bytes(written))


def json_bytes(written: Raw | UnsetType) -> bytes:
    """The JSON bytes; `null` if there are none."""
    return b"null" if isinstance(written, UnsetType) else bytes(written)


def _encode_target(value: Any) -> Any:
    assert isinstance(value, Target)  # noqa: S101 - the only foreign type of the record
    return value.json_form


def _decode_target(_type: type, value: Any) -> Any:
    try:
        return Target.model_validate(value)
    except ValidationError:
        target = Target.model_validate(value, extra="ignore")
        # A field of a later release stays in the record, and is there again when a bridge of that release has the run once more.
        target.__dict__["json_form"] = Raw(to_json(value))
        return target


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_target)
_DECODER = msgspec.json.Decoder(Run, dec_hook=_decode_target)


def dump(run: Run) -> bytes:
    """The whole record as the store keeps it."""
    return _ENCODER.encode(run)


def load(value: bytes) -> Run:
    """Read a record that `dump` wrote, in this release or another.

    Raises LaterRelease if a later release wrote something unknown, and msgspec.ValidationError if it is not a record.
    """
    try:
        return _DECODER.decode(value)
    except msgspec.ValidationError:
        newer = _HEADS.decode(value)
        if newer.version <= VERSION:
            raise
        told = f"Run {newer.correlation_id[:100]} was written by a later release (records of version {newer.version})"
        raise LaterRelease(f"{told}, and not all of it is known here.") from None


class _Head(Record, frozen=True):
    """The fields that every version of a record has."""

    correlation_id: str = ""
    version: int = 0


_HEADS = msgspec.json.Decoder(_Head)
