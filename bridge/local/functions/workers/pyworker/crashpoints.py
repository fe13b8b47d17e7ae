"""The places where a test ends the worker, as if it had been killed. They stand here, because the worker cannot import the bridge.

`BRIDGE_WORKER_CRASH_AT=ran-not-answered:2` ends it the second time it passes that place.
"""

from __future__ import annotations

import os
from enum import StrEnum

#: Taken out of the environment, so that neither functions nor the programs they start see it.
_ASKED, _, _TIMES = os.environ.pop("BRIDGE_WORKER_CRASH_AT", "").partition(":")
_EXIT_CODE = 137  #: what a shell says of a process that was killed


class WorkerCrashPoint(StrEnum):
    """What has happened, and what has not, when the worker ends."""

    STARTED_NOT_LOADED = "started-not-loaded"
    TAKEN_NOT_RUN = "taken-not-run"
    RAN_NOT_ANSWERED = "ran-not-answered"


_point = WorkerCrashPoint(_ASKED) if _ASKED else None
_left = int(_TIMES or "1")


def passed(point: WorkerCrashPoint) -> None:
    """End the process here if that was asked for."""
    global _left  # noqa: PLW0603 - a process ends as a whole, so what ends it is its own
    if point is not _point:
        return
    _left -= 1
    if _left == 0:
        os._exit(_EXIT_CODE)
