"""Named places where a test ends the process, to see what the next one makes of what is stored (docs/reliability.md has the table).

    BRIDGE_CRASH_AT=ended-not-replied bridge up       # ends, as by SIGKILL, the first time the place is passed
    BRIDGE_CRASH_AT=ended-not-replied:3 bridge up     # the third time

Nothing is armed unless the variable is set when the process starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge.errors import ConfigurationError

VARIABLE = "BRIDGE_CRASH_AT"
EXIT_CODE = 137  #: of a process that ended at a crash point: what a shell says of one that was killed


class CrashPoint(StrEnum):
    """What has happened and what has not, when the process ends."""

    PUBLISHED_NOT_CREATED = "published-not-created"
    CREATED_NOT_SCHEDULED = "created-not-scheduled"
    SCHEDULED_NOT_DISPATCHED = "scheduled-not-dispatched"
    HALF_DISPATCHED = "half-dispatched"
    ATTEMPT_SAVED_NOT_CALLED = "attempt-saved-not-called"
    CALLED_NOT_SAVED = "called-not-saved"
    ENDED_NOT_REPLIED = "ended-not-replied"
    REPLIED_NOT_ACKED = "replied-not-acked"
    REPLAY_CLAIMED_NOT_PUBLISHED = "replay-claimed-not-published"
    REPLAY_PUBLISHED_NOT_CONFIRMED = "replay-published-not-confirmed"


@dataclass
class _Armed:
    point: StrEnum
    passages: int
    end: Callable[[], object]


_armed: _Armed | None = None


def passed(point: StrEnum) -> None:
    """End the process here if that was asked for."""
    if _armed is None or _armed.point is not point:
        return
    _armed.passages -= 1
    if _armed.passages == 0:
        _armed.end()


def arm(
    environ: Mapping[str, str],
    end: Callable[[], object] = lambda: os._exit(EXIT_CODE),
    *,
    variable: str = VARIABLE,
    points: type[StrEnum] = CrashPoint,
) -> None:
    """Arm what the environment asks for, or nothing. Raises ConfigurationError for a place that is not one of this program's `points`."""
    global _armed  # noqa: PLW0603 - a process ends as a whole, so what ends it is its own
    name, _, times = environ.get(variable, "").partition(":")
    if not name:
        _armed = None
        return
    if name not in set(points) or not (times or "1").isdecimal() or int(times or "1") < 1:
        raise ConfigurationError([f"{variable}={name}:{times}: there is no such crash point; use one of {', '.join(points)}"])
    _armed = _Armed(points(name), int(times or "1"), end)
