"""The faults of a scripted function, drawn from a seed: errors, hangs, latency, and a rate above which it breaks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from random import Random

_SPREAD = 0.4  #: sigma of the logarithm of the latency: one call of a hundred takes two and a half times as long as the median
_WINDOW = 1.0  #: seconds for which calls are counted
_BUSY = 503


@dataclass(frozen=True)
class Faults:
    """What goes wrong: shares of calls, the median latency, and calls a second above which every call is refused."""

    errors: float = 0.2
    hangs: float = 0.02
    latency: timedelta = timedelta(milliseconds=50)
    breaks_at: float | None = 50.0


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """The status that is answered after so many seconds; None hangs."""

    status: int | None
    after: float


class FaultScript:
    """Decides what each call gets. Calls that are refused count too, so that a storm of retries keeps the function broken."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults, self._rng = faults, Random(seed)  # noqa: S311 - draws faults, protects nothing
        self._recent: deque[float] = deque()

    def next(self, now: float) -> ScriptedAnswer:
        """The answer to a call that comes in now, a time in seconds that never goes back."""
        self._recent.append(now)
        while self._recent[0] <= now - _WINDOW:
            self._recent.popleft()
        latency = self._faults.latency.total_seconds() * self._rng.lognormvariate(0, _SPREAD)
        drawn = self._rng.random()
        if self._faults.breaks_at is not None and len(self._recent) > self._faults.breaks_at * _WINDOW:
            return ScriptedAnswer(_BUSY, latency)
        if drawn < self._faults.hangs:
            return ScriptedAnswer(None, latency)
        return ScriptedAnswer(_BUSY if drawn < self._faults.hangs + self._faults.errors else 200, latency)
