"""Errors in the form that the host reads: `{message, stack, code, text, retriable?}`.

`message` and `stack` are for the log. `code` is the name of the exception's class and `text` what it says; `retriable` is there, and false,
if the exception has an attribute of that name and value.
"""

from __future__ import annotations

import traceback
from typing import Any

Error = dict[str, Any]


class LoadFailed(Exception):
    """The app cannot be loaded."""

    def __init__(self, error: Error) -> None:
        self.error = error
        super().__init__(error["message"])


def describe(exception: BaseException) -> Error:
    """The exception's class, text and stack trace."""
    known = facts(exception)
    stack = "".join(traceback.format_exception(exception))
    return {"message": f"{known['code']}: {known['text']}", "stack": stack, **known}


def facts(exception: BaseException) -> Error:
    """The exception without its stack trace."""
    try:
        text = str(exception)
    except Exception:  # noqa: BLE001 - an exception of a function may not even be able to say what it is
        text = "its text cannot be shown"
    final = {"retriable": False} if getattr(exception, "retriable", None) is False else {}
    return {"code": type(exception).__name__, "text": text, **final}


def described(message: str) -> Error:
    """The facts in a message of the form `Class: text`, for an exception that only its text is known of."""
    code, colon, text = message.partition(": ")
    return {"code": code, "text": text} if colon and code.isidentifier() else {"code": "", "text": message}
