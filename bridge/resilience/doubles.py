"""Division and order of doubles in CEL, as IEEE 754 and cel-go have them; for celpy every division by zero is infinity, even 0.0 / 0.0."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from celpy.celtypes import DoubleType
from celpy.evaluation import base_functions


def divided(left: Any, right: Any) -> Any:
    """The quotient. Raises ZeroDivisionError for whole numbers, as celpy does."""
    if not (isinstance(left, DoubleType) and isinstance(right, DoubleType) and right == 0.0):
        return operator.truediv(left, right)
    if left == 0.0 or math.isnan(left):
        return DoubleType(math.nan)
    return DoubleType(math.copysign(math.inf, left) * math.copysign(1, right))


def ordered(name: str) -> Callable[[Any, Any], Any]:
    """The comparison of that name. It raises TypeError for NaN, which has no order."""
    compare: Callable[[Any, Any], Any] = base_functions[name]

    def compared(left: Any, right: Any) -> Any:
        if any(isinstance(each, DoubleType) and math.isnan(each) for each in (left, right)):
            raise TypeError("NaN has no order")
        return compare(left, right)

    return compared


FUNCTIONS: dict[str, Callable[..., Any]] = {"_/_": divided, **{name: ordered(name) for name in ("_<_", "_<=_", "_>_", "_>=_")}}
