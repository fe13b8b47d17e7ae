"""The places where a test ends the functions host, as if it had been killed.

`bridge/crashpoints.py` says how this works, and docs/reliability.md has the table of all places.

The variable reaches only the first host and the first worker of an app, so what is started in their place goes on.
"""

from __future__ import annotations

from enum import StrEnum

VARIABLE = "BRIDGE_FUNCTIONS_CRASH_AT"
WORKER_VARIABLE = "BRIDGE_WORKER_CRASH_AT"  #: for the places in the worker, which are in `workers/pyworker/crashpoints.py`


class HostCrashPoint(StrEnum):
    """What has happened, and what has not, when the host ends."""

    TAKEN_NOT_RUN = "taken-not-run"
    RAN_NOT_SENT = "ran-not-sent"
    SENT_NOT_SETTLED = "sent-not-settled"
    RAN_NOT_ANSWERED = "ran-not-answered"
