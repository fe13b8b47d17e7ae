"""The start of an invocation: the last check of its deadline, directly before the function, and what the function raises."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from typing import Any

from .failure import Error, described, facts


class TooLate(Exception):
    """The deadline passed before the function could start."""


class InvocationStart:
    """One invocation on its way to its function. `deadline` is in seconds since 1970; None is no deadline."""

    __slots__ = ("_facts", "deadline", "late")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.late = False  #: whether the function was not called, because the deadline had passed
        self._facts: Error = {}

    def check(self) -> None:
        """Raises TooLate if the deadline has passed."""
        if self.deadline is not None and time.time() >= self.deadline:
            self.late = True
            raise TooLate("its deadline passed before it could start")

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a synchronous function in time. Raises TooLate, and what the function raises."""
        self.check()
        try:
            return function(*args)
        except BaseException as raised:
            self.note(raised)
            raise

    def note(self, raised: BaseException) -> None:
        """Remember what the function raised, as values: the exception itself would keep everything alive that it has seen."""
        self._facts = facts(raised)

    def failed(self, invocation: str, error: Error) -> dict[str, Any]:
        """The `done` message of an invocation that ended with this error."""
        known = self._facts or described(error["message"])
        return {"op": "done", "id": invocation, "ok": False, "late": self.late, "error": {**error, **known}}


_current: contextvars.ContextVar[InvocationStart | None] = contextvars.ContextVar("start", default=None)


def begin(deadline: float | None) -> InvocationStart:
    """The start of the invocation that the calling task runs. Raises TooLate from its `check`, not here."""
    start = InvocationStart(deadline)
    _current.set(start)
    return start


def current() -> InvocationStart:
    """The start of the invocation that the calling task runs; one without a deadline where there is none."""
    return _current.get() or InvocationStart(None)
