"""The constraints of route parameters, such as `int` and `length(2,4)`, as ASP.NET Core checks them.

Numbers and times are read as .NET reads them in the invariant culture: `int` takes `+5`, `decimal` takes `1,000.5`, `double` takes `NaN`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

Constraint = Callable[[str], bool]
"""Whether a value is taken. Raises re.error if the constraint is a pattern that is none."""

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9][0-9,]*(\.[0-9]*)?|\.[0-9]+)[+-]?")
_FLOAT = re.compile(r"[+-]?([0-9][0-9,]*(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(Infinity|NaN|∞)", re.IGNORECASE)
_HEX = r"[0-9a-fA-F]"
_DASHED = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_GUID = re.compile(rf"{_HEX}{{32}}|{_DASHED}|\{{{_DASHED}\}}|\({_DASHED}\)")
_ALPHA = re.compile(r"[A-Za-z]*")
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%m-%d-%Y", "%m/%d/%Y", "%Y-%m", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y")
_TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M%p", "%I:%M %p", "%I:%M:%S%p", "%I:%M:%S %p", "%I%p", "%I %p")
_INT, _LONG = 2**31, 2**63


def parse(text: str) -> Constraint:
    """The constraint with this name and arguments. Raises ValueError if there is none."""
    name, opened, rest = text.partition("(")
    argument = rest.removesuffix(")") if opened else None
    lowered = name.lower()
    if argument is None and lowered in _SIMPLE:
        return _SIMPLE[lowered]
    if lowered == "regex" and argument is not None:
        return _pattern(argument)
    if lowered in _BOUNDS and argument is not None:
        return _bounds(lowered, argument, text)
    raise ValueError(f"has the constraint {text!r}, which does not exist")


def _bounds(name: str, argument: str, text: str) -> Constraint:
    numbers = [each.strip() for each in argument.split(",")]
    fewest, most = _BOUNDS[name]
    if not fewest <= len(numbers) <= most or not all(_INTEGER.fullmatch(each) for each in numbers):
        raise ValueError(f"has the constraint {text!r}, whose arguments must be numbers")
    limits = [int(each) for each in numbers]
    low, high = limits[0], limits[-1]
    if name in ("min", "max", "range"):
        return lambda value: (number := _long(value)) is not None and (name == "max" or number >= low) and (name == "min" or number <= high)
    return lambda value: (name == "maxlength" or _units(value) >= low) and (name == "minlength" or _units(value) <= high)


def _pattern(argument: str) -> Constraint:
    """Letter case does not count. A pattern that is none fails each call, not the start, as in Azure."""
    return lambda value: re.search(argument, value, re.IGNORECASE) is not None


def _units(value: str) -> int:
    """The length as .NET counts it, in units of UTF-16."""
    return len(value.encode("utf-16-le", "surrogatepass")) // 2


def _whole(value: str, limit: int) -> int | None:
    trimmed = value.strip(" \t\n\v\f\r")
    if not _INTEGER.fullmatch(trimmed):
        return None
    number = int(trimmed) if len(trimmed) < 400 else limit
    return number if -limit <= number < limit else None


def _long(value: str) -> int | None:
    return _whole(value, _LONG)


def _is_datetime(value: str) -> bool:
    text = value.strip()
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return not text.isdigit()
    date, _, time = text.partition(" ")
    forms = [*_DATES, *_TIMES, *(f"{_date} {_time}" for _date in _DATES for _time in _TIMES)] if len(text) < 40 else []
    return any(_fits(text, form) for form in forms) or (bool(time) and _fits(date, "%H:%M"))


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - only the form counts
    except ValueError:
        return False
    return True


def _is_file(value: str) -> bool:
    """Whether the last part of a path looks like a file name, with something after a dot."""
    name = value.rsplit("/", 1)[-1]
    dot = name.find(".")
    return 0 <= dot < len(name) - 1


_SIMPLE: dict[str, Constraint] = {
    "int": lambda value: _whole(value, _INT) is not None,
    "long": lambda value: _long(value) is not None,
    "bool": lambda value: value.strip(" \t\n\v\f\r\0").lower() in ("true", "false"),
    "datetime": _is_datetime,
    "decimal": lambda value: _DECIMAL.fullmatch(value.strip()) is not None,
    "double": lambda value: _FLOAT.fullmatch(value.strip()) is not None,
    "float": lambda value: _FLOAT.fullmatch(value.strip()) is not None,
    "guid": lambda value: _GUID.fullmatch(value.strip()) is not None,
    "alpha": lambda value: _ALPHA.fullmatch(value) is not None,
    "required": bool,
    "file": _is_file,
    "nonfile": lambda value: not _is_file(value),
}
#: The fewest and the most arguments of each.
_BOUNDS = {"min": (1, 1), "max": (1, 1), "range": (2, 2), "length": (1, 2), "minlength": (1, 1), "maxlength": (1, 1)}
