"""Retry policies of functions: `retry` in function.json or host.json. The Functions host repeats every kind of trigger, HTTP too."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SPAN = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_EXPONENTIAL = "exponentialbackoff"


@dataclass(frozen=True, slots=True)
class FunctionRetry:
    """How often a function that fails is run again, and after how many seconds; -1 is for ever."""

    most: int
    shortest: float
    longest: float
    grows: bool

    def pause(self, retry: int) -> float:
        """Seconds before the retry with this number, which counts from 1."""
        if not self.grows:
            return self.shortest
        return min(self.longest, self.shortest * 2.0 ** min(retry - 1, 20) * random.uniform(0.8, 1.2))  # noqa: S311 - it spreads retries


def described(content: Any) -> Mapping[str, Any] | None:
    """The policy as it is written, checked. Raises ValueError."""
    if not isinstance(content, dict):
        return None
    policy(content)
    return content


def policy(content: Mapping[str, Any] | None) -> FunctionRetry | None:
    """The policy that is written; None without one. Raises ValueError."""
    if content is None:
        return None
    strategy = str(content.get("strategy", "")).lower()
    if strategy not in ("fixeddelay", _EXPONENTIAL):
        raise ValueError(f"retry.strategy is {content.get('strategy')!r}; write fixedDelay or exponentialBackoff")
    most = content.get("maxRetryCount")
    if not isinstance(most, int) or isinstance(most, bool):
        raise ValueError(  # noqa: TRY004 - the value of a file
            f"retry.maxRetryCount is {most!r}; it must be a whole number, -1 for ever"
        )
    names = ("minimumInterval", "maximumInterval") if strategy == _EXPONENTIAL else ("delayInterval", "delayInterval")
    shortest, longest = (_seconds(content.get(name), name) for name in names)
    return FunctionRetry(most, shortest, longest, strategy == _EXPONENTIAL)


def _seconds(given: object, name: str) -> float:
    written = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if written is None:
        raise ValueError(f"retry.{name} is {given!r}; it must be a time such as '00:00:10'")
    hours, minutes, seconds = written.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
