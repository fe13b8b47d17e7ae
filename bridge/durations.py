"""Durations as people write them in YAML: Go's form, as Dapr uses it, with days added ("250ms", "1m30s", "7d"), or ISO 8601 ("PT30S")."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, TypeAdapter, ValidationError

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_ISO_8601 = TypeAdapter(timedelta)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse(text: object) -> timedelta:
    """Read a duration such as "1m30s" or "PT1M30S"; "0" is zero.

    Raises ValueError with the value and the accepted form.
    """
    if isinstance(text, timedelta):
        return text
    if text in ("0", 0):
        return timedelta(0)
    if isinstance(text, str) and text.startswith("P"):
        return _iso_8601(text)
    if not isinstance(text, str) or not _WHOLE.fullmatch(text.strip()):
        raise ValueError(f'{_shown(text)} is not a duration; write it like "30s", "250ms", "2m", "1h30m" or "7d"')
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError(f"{_shown(text)} is longer than time itself; the longest duration is 999999999d") from None


def _iso_8601(text: str) -> timedelta:
    try:
        return _ISO_8601.validate_python(text)
    except ValidationError:
        raise ValueError(f'{_shown(text)} is not a duration; write it like "PT30S", "PT1H30M" or "P7D" (ISO 8601)') from None


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def show(duration: timedelta) -> str:
    """Write a duration in the same form, in the largest units that are exact to a millisecond."""
    milliseconds = round(duration.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[timedelta, BeforeValidator(parse)]
"""A duration in a pydantic model, which accepts the written form."""
