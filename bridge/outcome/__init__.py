"""The outcome of an attempt, as a closed set of types.

`httpanswer` reads it from the answer of a call, `resultevent` from the data of a result event.
"""

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
    """The function's output, as JSON. `errors_written`, here and below, counts the error records of a PowerShell function.

    `not_sent` names the outputs of the function that were not sent; empty if all were.
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
    """A failure without output. `unknown` means that no answer arrived, although the function may have run.

    `status` is the status of the HTTP answer, None if there was none.
    """

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
    """The failure for an output of `size` bytes if only `limit` are allowed. `status` is that of the HTTP answer, if there was one."""
    return Failed("OutputTooLarge", f"The output has {size:,} bytes; {limit:,} are allowed.", STORE_IT, status=status)
