"""What was measured of a function: each call of each load, and what that says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_SURE = 1.64  #: standard deviations: the true share is below the upper bound in 95 of 100 measurements
_MORE = 0.15  #: share of failures beyond the usual one that a broken function has at least
_NEARLY_ALL = 0.85  #: share of failures with which more load finds nothing out
_SLOWER = 5  #: times as long as at first that the usual answer of a broken function takes

_HINTS = {
    "Http40[13]": "is --key-env right?",
    "Http404": "is the path of --function right?",
    "Http4..": "is --body what it takes?",
    "Timeout": "raise --patience",
    "Connection.*": "does it run there?",
}  #: by the code of most failures, the first that fits


class MeasuredCall(NamedTuple):
    """One call: how long it took in seconds, and the code of its failure; empty if it was answered. A hung one took all its patience."""

    seconds: float
    code: str = ""
    status: int | None = None
    hung: bool = False


@dataclass
class LoadStep:
    """The calls at one rate, in calls a second. `broken`: the function failed more often than at lower rates, or was much slower."""

    rate: float
    calls: list[MeasuredCall] = field(default_factory=list)
    broken: bool = False

    @property
    def answered(self) -> list[float]:
        """The times of the calls that were answered, in seconds, sorted."""
        return sorted(each.seconds for each in self.calls if not each.code)

    @property
    def failed(self) -> int:
        """The number of calls that failed or hung."""
        return sum(bool(each.code) for each in self.calls)


@dataclass(frozen=True)
class Measurement:
    """All steps in the order in which they were made, and after how many seconds the function had recovered; None if it never broke."""

    steps: tuple[LoadStep, ...]
    recovery: float | None = None
    stopped: str = ""  #: why it was ended after the first step

    @property
    def sound(self) -> list[LoadStep]:
        """The steps at which the function was as at first."""
        return [each for each in self.steps if not each.broken]

    @property
    def highest_sound(self) -> float:
        """The highest rate at which the function was as at first."""
        return max((each.rate for each in self.sound), default=0.0)

    @property
    def lowest_broken(self) -> LoadStep | None:
        """The step at the lowest rate at which the function broke."""
        return min((each for each in self.steps if each.broken), key=lambda each: each.rate, default=None)

    @property
    def usual(self) -> list[MeasuredCall]:
        """All calls at rates that the function bears."""
        return [call for each in self.sound for call in each.calls]

    @property
    def failing(self) -> float:
        """The share of these calls that failed or hung."""
        return sum(bool(each.code) for each in self.usual) / max(len(self.usual), 1)

    @property
    def failing_at_most(self) -> float:
        """The upper bound of that share, as the calls were few."""
        return upper(self.failing, len(self.usual))

    @property
    def codes(self) -> Counter[str]:
        """How these calls failed, and how often."""
        return Counter(each.code for each in self.usual if each.code)

    @property
    def times(self) -> list[float]:
        """The times of those that were answered, in seconds, sorted."""
        return sorted(each.seconds for each in self.usual if not each.code)


def upper(share: float, number: int) -> float:
    """The upper end of Wilson's interval for a share of so many."""
    if number == 0:
        return 1.0
    square = _SURE**2
    middle = share + square / (2 * number)
    spread = _SURE * math.sqrt(share * (1 - share) / number + square / (4 * number**2))
    return min((middle + spread) / (1 + square / number), 1.0)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of sorted values is; 0 if there are none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def useless(step: LoadStep, pending: int = 0) -> str:
    """Why a function is not to be called any harder after the first step: nearly all of its calls failed. Otherwise empty.

    `pending` calls have not been answered yet, and count as timeouts.
    """
    calls = len(step.calls) + pending
    if not calls or step.failed + pending < _NEARLY_ALL * calls:
        return ""
    codes = Counter({"Timeout": pending}) + Counter(each.code for each in step.calls if each.code)
    [(code, number)] = codes.most_common(1)
    hint = next((hint for kind, hint in _HINTS.items() if re.fullmatch(kind, code)), "does it work when it is called once?")
    return f"at {step.rate:g}/s {step.failed + pending} of {calls} calls failed, {number} of them with {code}: {hint}"


def is_broken(step: LoadStep, pending: int, before: Sequence[LoadStep]) -> bool:
    """Whether a function is broken at a step, compared with earlier sound ones. `pending` calls have not been answered yet."""
    earlier = [call for each in before for call in each.calls]
    number = len(step.calls) + pending
    if not earlier or not number:
        return False
    usual = sum(bool(each.code) for each in earlier) / len(earlier)
    spread = math.sqrt(max(usual * (1 - usual), 0.01) * (1 / number + 1 / len(earlier)))
    fails = (step.failed + pending) / number > usual + max(_MORE, 3 * spread)
    first = quantile(before[0].answered, 0.5)
    return fails or bool(step.answered and first and quantile(step.answered, 0.5) > _SLOWER * max(first, 0.01))
