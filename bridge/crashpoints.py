"""Named points at which a test can end the process, to see how the next process continues (docs/reliability.md has the table).

    BRIDGE_CRASH_AT=run.ended bridge up       # ends, as by SIGKILL, after the first step of this name
    BRIDGE_CRASH_AT=run.ended:3 bridge up     # after the third

The points of the bridge are the steps that `bridge.telemetry` logs. The functions host and the worker have points of their own. Nothing
happens unless the variable is set when the process starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from bridge.errors import ConfigurationError

VARIABLE = "BRIDGE_CRASH_AT"
EXIT_CODE = 137  #: of a process that ended at a crash point, the same as of one that was killed


@dataclass
class Armed:
    """The point at which the process ends, and how many more times it may pass before."""

    point: str
    passages: int
    end: Callable[[], object]


armed: Armed | None = None
"""What was armed; None costs whoever passes a point one look at this attribute."""


def passed(point: str) -> None:
    """End the process if it was to end at this point."""
    if armed is None or armed.point != point:
        return
    armed.passages -= 1
    if armed.passages == 0:
        armed.end()


def arm(
    environ: Mapping[str, str],
    points: Collection[str],
    end: Callable[[], object] = lambda: os._exit(EXIT_CODE),
    *,
    variable: str = VARIABLE,
) -> None:
    """Read the point from the environment, if one is set. Raises ConfigurationError for a point that is not among `points`."""
    global armed  # noqa: PLW0603 - a process ends as a whole, so what ends it is its own
    asked = environ.get(variable, "")
    name, _, times = asked.partition(":")
    if not name:
        armed = None
        return
    if name not in points or not (times or "1").isdecimal() or int(times or "1") < 1:
        raise ConfigurationError([f"{variable}={asked}: there is no such crash point; use one of {', '.join(sorted(points))}"])
    armed = Armed(name, int(times or "1"), end)
