"""The exit codes of commands."""

from __future__ import annotations

from enum import IntEnum

from bridge.client.answers import FINAL, RunView


class Exit(IntEnum):
    """Exit codes. A command that only shows something ends with OK, whatever it shows."""

    OK = 0
    """Done; a run that was waited for succeeded."""
    FAILED = 1
    """The run failed, or a command that looks for faults found one."""
    USAGE = 2
    """The command line or the settings cannot be used as they are."""
    TIMED_OUT = 3
    """The run passed its deadline, or was still unfinished when the wait ended."""
    CANCELED = 4
    """The run was canceled."""
    UNREACHABLE = 5
    """No bridge answers at the URL."""
    REFUSED = 6
    """The bridge refused the request; it says why."""
    INTERRUPTED = 130
    """Ctrl-C; a run that was waited for goes on."""


_BY_STATUS = {"Failed": Exit.FAILED, "TimedOut": Exit.TIMED_OUT, "Canceled": Exit.CANCELED}


def of(run: RunView, *, waited: bool) -> Exit:
    """The exit code for a run. An unfinished run is TIMED_OUT only for a command that waited for its end."""
    if waited and run["status"] not in FINAL:
        return Exit.TIMED_OUT
    return _BY_STATUS.get(run["status"], Exit.OK)
