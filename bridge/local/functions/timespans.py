"""Times as .NET reads them (TimeSpan.Parse): `5` is five days, and so is `5:00:00:00`; `25:00:00` is 25 days."""

from __future__ import annotations

import re
from datetime import timedelta

_SPAN = re.compile(r"(-)?(?:(\d+)|(?:(\d+)\.)?(\d+):(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?(\.\d{1,7})?)?)", re.ASCII)


def parse(text: str) -> timedelta:
    """The time in `text`, which may be below zero. Raises ValueError for what is none, and for one too long to be counted."""
    written = _SPAN.fullmatch(text.strip())
    if written is None:
        raise ValueError("it must be a time such as '00:05:00'")
    minus, only_days, days, first, second, third, fourth, fraction = written.groups()
    if only_days is not None:
        parts = (only_days, "0", "0", "0")
    elif fourth is not None and days is None:
        parts = (first, second, third, fourth)
    elif days is None and int(first) > 23:
        parts = (first, second, third or "0", "0")
    else:
        parts = (days or "0", first, second, third or "0")
    whole_days, hours, minutes, seconds = parts
    if (fourth is not None and days is not None) or int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        raise ValueError("it must be a time such as '00:05:00', with hours up to 23")
    try:
        span = timedelta(days=int(whole_days), hours=int(hours), minutes=int(minutes), seconds=float(seconds + (fraction or "")))
    except OverflowError:
        raise ValueError("it is longer than can be counted") from None
    return -span if minus else span
