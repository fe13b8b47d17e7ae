"""Decides when a breaker opens, by `trip`: an expression of the Common Expression Language over counts of calls, as in Dapr's schema.

The variables are those of Dapr (dapr/kit, package circuitbreaker). As there, an expression that cannot be evaluated, such as a
division by zero, does not open the breaker.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

_SIMPLE = re.compile(r"\s*consecutiveFailures\s*(>=?)\s*(\d{1,6})\s*")
_DIVIDES = re.compile("[/%]")
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})  #: which name a variable of their own
_RECEIVER_AND_NAME = 2  #: what stands before the arguments of a call
_TYPES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"})
_LONGEST = 500  #: characters of an expression


class Counts(NamedTuple):
    """Counts of calls since the breaker changed its state, or since its interval began."""

    requests: int = 0
    total_successes: int = 0
    total_failures: int = 0
    consecutive_successes: int = 0
    consecutive_failures: int = 0

    def permitted(self, number: int = 1) -> Counts:
        """The counts with one more call that was permitted, or one less."""
        return self._replace(requests=max(self.requests + number, 0))

    def succeeded(self) -> Counts:
        """The counts after one of the calls has succeeded."""
        return Counts(self.requests, self.total_successes + 1, self.total_failures, self.consecutive_successes + 1, 0)

    def failed(self) -> Counts:
        """The counts after one of the calls has failed."""
        return Counts(self.requests, self.total_successes, self.total_failures + 1, 0, self.consecutive_failures + 1)


NONE = Counts()
_UNEVEN = Counts(9973, 5003, 4969, 89, 61)  #: counts for which sums and differences in ordinary expressions are not zero
_NAMES = ("requests", "totalSuccesses", "totalFailures", "consecutiveSuccesses", "consecutiveFailures")


def in_a_row(failures: int) -> str:
    """The expression that opens the breaker after so many consecutive failures."""
    return f"consecutiveFailures >= {failures}"


def trips(text: str, counts: Counts) -> bool:
    """Whether the expression is true for the counts."""
    return _program(text)(counts)


def check(text: str) -> str:
    """Return the expression. Raises ValueError if it cannot be parsed, names an unknown variable, or is not a truth value."""
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:40]!r}… has more than {_LONGEST} characters; shorten it")
    if _SIMPLE.fullmatch(text) is None:
        for counts in (NONE, Counts(1, 1, 1, 1, 1), _UNEVEN):
            _check_once(text, counts)
    return text


def is_expression(text: str) -> bool:
    """Whether it can be parsed as CEL, whatever its variables are."""
    import celpy  # noqa: PLC0415 - as below
    from celpy import celparser  # noqa: PLC0415 - as below

    try:
        celpy.Environment().compile(text)
    except (celparser.CELParseError, RecursionError):
        return False
    return True


def variables(text: str) -> list[str]:
    """The names that an expression reads, in their order. Types, fields and what a macro such as `exists` names do not count."""
    import celpy  # noqa: PLC0415 - as below

    tree = celpy.Environment().compile(text)
    calls = [each for each in tree.find_data("member_dot_arg") if each.children[1] in _MACROS and len(each.children) > _RECEIVER_AND_NAME]
    bound = {str(name.children[0]) for each in calls for name in [*each.children[2].find_data("ident")][:1]}
    names = dict.fromkeys(str(each.children[0]) for each in tree.find_data("ident"))
    return [each for each in names if each not in bound | _TYPES]


def _check_once(text: str, counts: Counts) -> None:
    from celpy import celparser, celtypes, evaluation  # noqa: PLC0415 - takes a third of a second, and most policies do without it

    try:
        value = _evaluate(text)(counts)
    except (celparser.CELParseError, RecursionError):
        raise ValueError(f'{text!r} is not an expression in CEL; write it like "consecutiveFailures > 5"') from None
    except evaluation.CELEvalError:
        if counts != _UNEVEN and _DIVIDES.search(text):
            return  # perhaps a division by zero, which the error does not show once it has passed through `?:`, `&&` or `||`
        raise ValueError(f"{text!r} cannot be worked out; the names are {', '.join(_NAMES)}, all of them whole numbers") from None
    if not isinstance(value, bool | celtypes.BoolType):
        raise ValueError(f"{text!r} is not true or false; compare it with a number")  # noqa: TRY004 - pydantic takes a ValueError


@lru_cache(maxsize=256)
def _program(text: str) -> Callable[[Counts], bool]:
    simple = _SIMPLE.fullmatch(text)
    if simple is not None:
        least = int(simple[2]) + (simple[1] == ">")
        return lambda counts: counts.consecutive_failures >= least
    from celpy import evaluation  # noqa: PLC0415 - as above

    evaluate = _evaluate(text)

    @lru_cache(maxsize=4096)
    def evaluated(counts: Counts) -> bool:
        try:
            return bool(evaluate(counts))
        except evaluation.CELEvalError:
            return False

    return evaluated


def _evaluate(text: str) -> Callable[[Counts], Any]:
    import celpy  # noqa: PLC0415 - as above

    from bridge.resilience import doubles  # noqa: PLC0415 - as above

    environment = celpy.Environment()
    program = environment.program(environment.compile(text), functions=doubles.FUNCTIONS)
    return lambda counts: program.evaluate({name: celpy.celtypes.IntType(count) for name, count in zip(_NAMES, counts, strict=True)})
