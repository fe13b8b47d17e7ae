"""One column of a table, read value by value. Only counts, bounds, sums and a limited set of distinct values are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal
from typing import Any

DISTINCT = 10_000  #: distinct values counted exactly; from there on the count stands still and is marked
SHOWN = 40  #: characters of a name or a text that are shown
LONGEST_NUMBER = 100  #: characters; longer digits are text

# As JSON writes numbers (RFC 8259, section 6): 007 and +49 are names of things and stay text.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# Between the largest double and the last place of a value like 1e-999 there are fewer digits than these: sums are exact.
_EXACT = Context(prec=2_000)


@dataclass
class Kind:
    """One way to read the values of a column, which counts as long as all of them can be read this way."""

    type: str
    read: Callable[[str], Any]  #: the value, or None if the text is no such value
    show: Callable[[Any], Any] = str  #: the value as JSON
    add: Callable[[Any, Any], Any] | None = None
    least: Any = None
    most: Any = None
    total: Any = 0

    def take(self, text: str) -> bool:
        """Count one value; False if it cannot be read this way."""
        value = self.read(text)
        if value is None:
            return False
        self.least = value if self.least is None or value < self.least else self.least
        self.most = value if self.most is None or value > self.most else self.most
        self.total = self.add(self.total, value) if self.add else 0
        return True

    def view(self, count: int) -> dict[str, Any]:
        """The smallest and largest value and, for numbers, the mean, which is exact where it is whole and else the nearest double."""
        shown = {"min": self.show(self.least), "max": self.show(self.most)}
        return {**shown, "mean": _mean(self.total, count)} if self.add else shown


def _kinds() -> list[Kind]:
    return [
        Kind("integer", _integer, int, int.__add__),
        Kind("number", _number, float, _EXACT.add),
        Kind("boolean", _boolean, bool),
        Kind("date", _date),
        Kind("text", str, shorten),
    ]


@dataclass
class Column:
    """A column's type is the first of integer, number, boolean, date and text that all its values can be read as."""

    name: str
    count: int = 0
    missing: int = 0
    kinds: list[Kind] = field(default_factory=_kinds)
    seen: set[str] = field(default_factory=set)
    more: bool = False

    def take(self, text: str) -> None:
        """Count one value; spaces around it do not matter, and nothing but spaces is a missing value."""
        value = text.strip()
        if not value:
            self.missing += 1
            return
        self.count += 1
        self.kinds = [kind for kind in self.kinds if kind.take(value)]
        if len(self.seen) < DISTINCT:
            self.seen.add(value)
        elif value not in self.seen:
            self.more = True

    def view(self) -> dict[str, Any]:
        """The column as JSON. `distinctAtLeast` says that there are more distinct values than were counted."""
        counts = {"count": self.count, "missing": self.missing, "distinct": len(self.seen)}
        if self.more:
            counts["distinctAtLeast"] = True
        if not self.count:
            return {"name": shorten(self.name), "type": "empty", **counts, "min": None, "max": None}
        kind = self.kinds[0]
        return {"name": shorten(self.name), "type": kind.type, **counts, **kind.view(self.count)}


def shorten(text: str) -> str:
    """The first `SHOWN` characters of a value, so that a result stays small however long the values are."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= LONGEST_NUMBER and _INTEGER.fullmatch(text) else None


def _number(text: str) -> Decimal | None:
    if len(text) > LONGEST_NUMBER or not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return None
    return Decimal(text)


def _boolean(text: str) -> bool | None:
    return {"false": False, "true": True}.get(text.lower())


def _date(text: str) -> str | None:
    """A calendar day as ISO 8601 writes it; such days sort like text."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _mean(total: int | Decimal, count: int) -> int | float:
    if isinstance(total, int):
        return total // count if total % count == 0 else total / count
    return float(_EXACT.divide(total, count))
