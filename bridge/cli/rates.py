"""Parses rates such as "50/s" or "600/min", and keeps their pace."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*/\s*(s|min|h)")
#: Seconds whose starts may be made up for, since no machine wakes up to the microsecond.
CATCH_UP = 0.1


def parse(text: str) -> float:
    """Parse a rate; the result is per second. Raises ValueError with the value and the accepted form."""
    match = _RATE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise ValueError(f'{text!r} is not a rate; write it like "50/s", "600/min" or "1000/h"')
    return float(match[1]) / _UNITS[match[2]]


class Pace:
    """Tells when the next of many operations may start, at `rate` a second."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next: float | None = None

    def pause(self, now: float) -> float:
        """Seconds from `now` until the next operation may start. Every call stands for one start."""
        self._next = now if self._next is None else max(self._next + self._interval, now - CATCH_UP)
        return max(self._next - now, 0)
