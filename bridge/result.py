"""What a function says of its invocation: the data of `automation.result` (contract 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic_core import to_json

from bridge.errors import Malformed, Violation
from bridge.outcome import MAX_CODE, MAX_MESSAGE, Failed, Outcome, Succeeded


class _Error(BaseModel):
    model_config = ConfigDict(extra="ignore")

    code: str = ""
    message: str = ""
    hint: str = ""
    retriable: StrictBool = False


class _Progress(BaseModel):
    model_config = ConfigDict(extra="ignore")

    percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)] | None = None
    message: str | None = None


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Literal["succeeded", "failed", "running"]
    output: Any = None
    error: _Error | None = None
    progress: _Progress | None = None


def _failed(error: _Error) -> Failed:
    message = error.message[:MAX_MESSAGE] or "The function failed and gave no message."
    return Failed(error.code[:MAX_CODE] or "FunctionFailed", message, error.hint[:MAX_MESSAGE], error.retriable)


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome, or progress where there is none yet."""

    outcome: Outcome | None
    percent: float | None = None
    message: str | None = None


def read_result(data: Any, limit: int) -> Result:
    """Read the data of an `automation.result`; an output over `limit` bytes is a failure. Raises Malformed, naming what is wrong."""
    if not isinstance(data, dict):
        raise Malformed("A result is one JSON object, never an array or a bare value.", hint="Send {status, output?, error?, progress?}.")
    try:
        said = _Data.model_validate(data)
    except ValidationError as fault:
        errors = [
            Violation(pointer="/data/" + "/".join(str(part) for part in error["loc"]), rule=error["type"], detail=error["msg"])
            for error in fault.errors(include_url=False, include_input=False)
        ]
        detail = "; ".join(f"{error['pointer']}: {error['detail']}" for error in errors[:5])
        raise Malformed(f"This result cannot be read: {detail}.", hint="status is succeeded, failed or running.", errors=errors) from None
    if said.status == "running":
        progress = said.progress or _Progress()
        return Result(None, progress.percent, progress.message)
    if said.status == "failed":
        return Result(_failed(said.error or _Error()))
    size = len(to_json(said.output))
    if size > limit:
        return Result(
            Failed("OutputTooLarge", f"The output has {size:,} bytes; {limit:,} are allowed.", "Store it and return where it is.")
        )
    return Result(Succeeded(said.output))
