"""Handles error records that a PowerShell function wrote without failing (`errors` in the catalogue).

Only the local functions host counts them. It reports the number in a header of its answer, or in its report on a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from bridge.outcome import Failed, Outcome

HEADER = "x-errors-written"
Errors = Literal["ignore", "fail"]
_MOST_DIGITS = 9


def count_in(headers: Mapping[str, str]) -> int:
    """The number in the header of an answer; 0 if there is no header or it is not a valid number."""
    text = headers.get(HEADER, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else 0


def judged(outcome: Outcome, count: int, errors: Errors | None) -> Outcome:
    """The outcome with the number of errors. With `errors: fail`, a success with errors becomes a failure that is not retried."""
    if not count:
        return outcome
    if errors == "fail" and not isinstance(outcome, Failed):
        return failure(count)
    return replace(outcome, errors_written=count)


def failure(count: int) -> Failed:
    """The failure for written errors, if the catalogue asks for one."""
    message = f"The function ended without failing, but it wrote {count:,} error{'' if count == 1 else 's'}."
    hint = "The log of the functions host has each with script and line. `errors: ignore` in the catalogue lets them pass."
    return Failed("ErrorsWritten", message, hint, errors_written=count)
