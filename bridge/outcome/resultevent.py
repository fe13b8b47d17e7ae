"""Reads the data of an `automation.result` event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Raw
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic_core import to_json

from bridge.errors import Malformed, Violation
from bridge.outcome import MAX_CODE, Failed, Outcome, Succeeded, too_large
from bridge.redaction import MAX_MESSAGE


class _ResultError(BaseModel):
    model_config = ConfigDict(extra="ignore")

    code: str = ""
    message: str = ""
    hint: str = ""
    retriable: StrictBool = False


class _ResultProgress(BaseModel):
    model_config = ConfigDict(extra="ignore")

    percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)] | None = None
    message: str | None = None


class _ResultData(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Literal["succeeded", "failed", "running"]
    output: Any = None
    error: _ResultError | None = None
    progress: _ResultProgress | None = None
    errors_written: Annotated[int | None, Field(ge=0, le=10**9, strict=True, alias="errorsWritten")] = None
    settlement: Literal["completed"] | None = None
    outputs_not_sent: Annotated[str, Field(max_length=5_000, alias="outputsNotSent")] = ""


def _failed(error: _ResultError) -> Failed:
    message = error.message[:MAX_MESSAGE] or "The function failed and gave no message."
    return Failed(error.code[:MAX_CODE] or "FunctionFailed", message, error.hint[:MAX_MESSAGE], error.retriable)


@dataclass(frozen=True, slots=True)
class Result:
    """The content of an `automation.result` event: an outcome, or progress while the function runs.

    `settled` means that the functions host completes the message, for functions that send no result. `failure` is the reason why a delivery
    of the work failed. It ends nothing, because the broker delivers the work again. `errors_written` is the number of error records that
    the function wrote; None if they were not counted. `not_sent` are outputs that were not sent (`outputsnotsent`).
    """

    outcome: Outcome | None
    percent: float | None = None
    message: str | None = None
    settled: bool = False
    failure: Failed | None = None
    errors_written: int | None = None
    not_sent: str = ""


def read_result(data: Any, limit: int) -> Result:
    """Read the data of an `automation.result` event. An output over `limit` bytes is a failure. Raises Malformed."""
    if not isinstance(data, dict):
        raise Malformed("A result is one JSON object, never an array or a bare value.", hint="Send {status, output?, error?, progress?}.")
    try:
        read = _ResultData.model_validate(data)
    except ValidationError as fault:
        errors = [
            Violation(pointer="/data/" + "/".join(str(step) for step in error["loc"]), rule=error["type"], detail=error["msg"])
            for error in fault.errors(include_url=False, include_input=False)
        ]
        detail = "; ".join(f"{error['pointer']}: {error['detail']}" for error in errors[:5])
        raise Malformed(f"This result cannot be read: {detail}.", hint="status is succeeded, failed or running.", errors=errors) from None
    return _result(read, limit)


def _result(read: _ResultData, limit: int) -> Result:
    count = read.errors_written
    if read.status == "running":
        progress = read.progress or _ResultProgress()
        failure = _failed(read.error) if read.error else None
        told: dict[str, Any] = {"failure": failure, "errors_written": count, "not_sent": read.outputs_not_sent}
        return Result(None, progress.percent, progress.message, settled=read.settlement is not None, **told)
    if read.status == "failed":
        return Result(_failed(read.error or _ResultError()), errors_written=count)
    output = to_json(read.output)
    if len(output) > limit:
        return Result(too_large(len(output), limit), errors_written=count)
    return Result(Succeeded(Raw(output)), errors_written=count)
