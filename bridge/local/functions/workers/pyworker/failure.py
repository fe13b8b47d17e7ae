"""What went wrong, in the shape that travels to the host: `{message, stack}`."""

from __future__ import annotations

import traceback

Error = dict[str, str]


class LoadFailed(Exception):
    """The app cannot be loaded."""

    def __init__(self, error: Error) -> None:
        self.error = error
        super().__init__(error["message"])


def describe(exception: BaseException) -> Error:
    """The exception's class, text and stack trace."""
    stack = "".join(traceback.format_exception(exception))
    return {"message": f"{type(exception).__name__}: {exception}", "stack": stack}
