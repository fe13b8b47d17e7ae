"""The outcome of an attempt: a closed set. `httpanswer` reads it from the answer of a call, `resultevent` from the data of a result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from msgspec import Raw
from pydantic_core import to_json

MAX_CODE = 100  #: characters
STORE_IT = "Store it and return where it is."  #: what to do about an output that is too large


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function's output, as JSON. `errors_written`, here and below: the error records that a PowerShell function wrote.

    `not_sent`: which outputs of the function were not sent; nothing if all were.
    """

    output_json: Raw
    errors_written: int = 0
    not_sent: str = ""

    @classmethod
    def of(cls, output: Any) -> Succeeded:
        """The outcome with this JSON value as its output."""
        return cls(Raw(to_json(output)))


@dataclass(frozen=True, slots=True)
class Accepted:
    """The function answered 202 and is still working. The result follows as an event, unless there is an address to ask for the status.

    Both addresses are secrets: whoever knows them can read or end the work.
    """

    status_url: str = ""
    terminate_url: str = ""
    errors_written: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """No output. `unknown`: no answer came, and the function may have run. `status` is that of the HTTP answer, None if there was none."""

    code: str
    message: str
    hint: str = ""
    retriable: bool = False
    retry_after: timedelta | None = None
    unknown: bool = False
    status: int | None = None
    errors_written: int = 0


Outcome = Succeeded | Accepted | Failed


def too_large(size: int, limit: int, status: int | None = None) -> Failed:
    """The failure of an output of `size` bytes where `limit` are allowed. `status` is that of the HTTP answer, if it was one."""
    return Failed("OutputTooLarge", f"The output has {size:,} bytes; {limit:,} are allowed.", STORE_IT, status=status)
