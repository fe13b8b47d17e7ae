"""Where a test ends the functions host, as if killed (`bridge/crashpoints.py` says how; docs/reliability.md has the table).

The variable reaches only the first host, and the first worker of an app: what is started in its place goes on.
"""

from __future__ import annotations

from enum import StrEnum

VARIABLE = "BRIDGE_FUNCTIONS_CRASH_AT"
WORKER_VARIABLE = "BRIDGE_WORKER_CRASH_AT"  #: the worker's own places are in `workers/pyworker/crashpoints.py`


class CrashPoint(StrEnum):
    """What has happened and what has not, when the host ends."""

    TAKEN_NOT_RUN = "taken-not-run"
    RAN_NOT_SENT = "ran-not-sent"
    SENT_NOT_SETTLED = "sent-not-settled"
    RAN_NOT_ANSWERED = "ran-not-answered"
