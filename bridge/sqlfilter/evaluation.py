"""Evaluates filters by three-valued logic: true, false, or unknown, which is None here.

A property that the message does not have is unknown, and so is what is computed from it. NULL counts as unknown too, except for IS NULL.
Operands that C# would not compare or add, such as a text and a number, are unknown as well, where Azure raises an error and may dead-letter
the message.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from bridge.sqlfilter.like import like
from bridge.sqlfilter.properties import MessageProperties, PropertyValue
from bridge.sqlfilter.syntax import (
    Arithmetic,
    Comparison,
    Conjunction,
    Constant,
    Disjunction,
    Exists,
    Expression,
    InList,
    IsNull,
    Like,
    Negation,
    NewId,
    Predicate,
    PropertyNamed,
    PropertyReference,
    Signed,
)

LONGEST_TEXT = 32_767  #: characters of a computed or matched text (the most that Azure allows for one property); longer ones are unknown
_INT64 = range(-(2**63), 2**63)
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = (str, datetime, timedelta)

Truth = bool | None


def matches(predicate: Predicate, message: MessageProperties) -> bool:
    """Whether the filter selects the message: unknown does not."""
    return truth(predicate, message) is True


def truth(predicate: Predicate, message: MessageProperties) -> Truth:  # noqa: PLR0911 - one line for each kind of predicate
    """The value of a predicate; None is unknown."""
    match predicate:
        case Comparison(left, compared, right):
            return compare(compared, value_of(left, message), value_of(right, message))
        case IsNull(operand, negated):
            return (value_of(operand, message) is None) != negated
        case Exists(operand):
            return _exists(operand, message)
        case InList():
            return _in(predicate, message)
        case Like():
            return _like(predicate, message)
        case Negation(operand):
            return _not(truth(operand, message))
        case Conjunction(operands):
            return _all(truth(each, message) for each in operands)
        case Disjunction(operands):
            return _not(_all(_not(truth(each, message)) for each in operands))


def value_of(expression: Expression, message: MessageProperties) -> PropertyValue:
    """The value of an expression; None is NULL or unknown."""
    match expression:
        case Constant(value):
            return value
        case PropertyReference(name, system):
            return message.system_value(name) if system else message.user_value(name)
        case NewId():
            return uuid4()
        case PropertyNamed(named):
            key = value_of(named, message)
            return message.user_value(key) if isinstance(key, str) else None
        case Signed(sign, operand):
            return _signed(sign, value_of(operand, message))
        case Arithmetic(first, rest):
            result = value_of(first, message)
            for operation, term in rest:
                result = calculate(operation, result, value_of(term, message))
            return result


def compare(compared: str, left: PropertyValue, right: PropertyValue) -> Truth:
    """Compare two values by one of the six operators. Numbers of different types are compared by their value."""
    if isinstance(left, bool) or isinstance(right, bool):
        comparable = isinstance(left, bool) and isinstance(right, bool) and compared in ("=", "<>")
    elif _is_number(left) and _is_number(right):
        comparable = True
    elif isinstance(left, _ORDERED):
        comparable = any(isinstance(left, kind) and isinstance(right, kind) for kind in _ORDERED)
    else:
        comparable = compared in ("=", "<>") and any(isinstance(left, kind) and isinstance(right, kind) for kind in (bytes, UUID))
    if not comparable:
        return None
    try:
        return _ORDERINGS[compared](_comparable(left), _comparable(right))
    except (ArithmeticError, TypeError):  # a decimal that is not a number cannot be ordered
        return None


def _comparable(value: PropertyValue) -> PropertyValue:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def calculate(sign: str, left: PropertyValue, right: PropertyValue) -> PropertyValue:
    """One step of arithmetic, by the rules of C#: whole numbers divide without a remainder, and `+` joins texts.

    What overflows 64 bits, and a whole number divided by zero, is unknown.
    """
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return _joined(left, right)
    if not (_is_number(left) and _is_number(right)):
        return None
    first, second = _promoted(left, right)
    try:
        if isinstance(first, int):
            return _whole(sign, first, second)
        return _fraction(sign, first, second)
    except ArithmeticError:
        return None


def _whole(sign: str, left: int, right: int) -> int | None:
    if sign == "/":
        result = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    elif sign == "%":
        result = abs(left) % abs(right) * (1 if left >= 0 else -1)
    else:
        result = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](left, right)
    return result if result in _INT64 else None


def _fraction(sign: str, left: Any, right: Any) -> PropertyValue:
    if sign == "%":
        result: PropertyValue = math.fmod(left, right) if isinstance(left, float) and right else left % right
    elif sign == "/" and isinstance(left, float) and right == 0:
        result = math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    else:
        result = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[sign](left, right)
    return result


def _promoted(left: PropertyValue, right: PropertyValue) -> tuple[Any, Any]:
    """Both as the wider of their types: a float if either is one, else a decimal if either is one, else whole numbers."""
    for kind in (float, Decimal):
        if isinstance(left, kind) or isinstance(right, kind):
            return kind(left), kind(right)  # type: ignore[arg-type]  # both are numbers
    return left, right


def _signed(sign: str, value: PropertyValue) -> PropertyValue:
    if not _is_number(value):
        return None
    negative = -value if sign == "-" else value  # type: ignore[operator]  # it is a number
    return None if isinstance(negative, int) and negative not in _INT64 else negative


def _joined(left: PropertyValue, right: PropertyValue) -> str | None:
    if not all(isinstance(value, str | int | float | Decimal | UUID) for value in (left, right)):
        return None
    text = text_of(left) + text_of(right)
    return text if len(text) <= LONGEST_TEXT else None


def text_of(value: PropertyValue) -> str:
    """A value as text, as C# writes it where that is the same everywhere; times as in ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_number(value: PropertyValue) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _exists(operand: PropertyReference, message: MessageProperties) -> bool:
    if operand.system:
        return message.system_value(operand.name) is not None
    return message.user_key(operand.name) is not None


def _in(predicate: InList, message: MessageProperties) -> Truth:
    value = value_of(predicate.value, message)
    found = _not(_all(_not(compare("=", value, value_of(choice, message))) for choice in predicate.choices))
    return _not(found) if predicate.negated else found


def _like(predicate: Like, message: MessageProperties) -> Truth:
    value, pattern = value_of(predicate.value, message), value_of(predicate.pattern, message)
    escape = "" if predicate.escape is None else value_of(predicate.escape, message)
    if not (isinstance(value, str) and isinstance(pattern, str) and isinstance(escape, str)):
        return None
    if len(value) > LONGEST_TEXT or len(pattern) > LONGEST_TEXT or (predicate.escape is not None and len(escape) != 1):
        return None
    return like(value, pattern, escape) != predicate.negated


def _not(value: Truth) -> Truth:
    return None if value is None else not value


def _all(values: Any) -> Truth:
    known = True
    for value in values:
        if value is False:
            return False
        known = known and value is not None
    return True if known else None
