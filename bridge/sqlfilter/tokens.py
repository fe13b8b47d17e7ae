"""Splits the text of a filter or action into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

LONGEST = 1024  #: characters of one filter or action (Azure's quota "length of filter condition or rule action string")
KEYWORDS = frozenset(["AND", "OR", "NOT", "IN", "LIKE", "ESCAPE", "IS", "NULL", "EXISTS", "TRUE", "FALSE", "SET", "REMOVE"])

Kind = Literal["keyword", "name", "delimited", "text", "integer", "decimal", "symbol", "end"]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<decimal>\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))
      | (?P<integer>\d+)
      | (?P<name>[^\W\d_]\w*)
      | '(?P<text>(?:[^']|'')*)'
      | \[(?P<delimited>(?:[^\]]|\]\])+)\]
      | "(?P<quoted>(?:[^"]|"")+)"
      | (?P<symbol><>|!=|<=|>=|[=<>+\-*/%().,;])
      | (?P<parameter>@\w*)
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_OPEN = {"'": "text in single quotes", "[": "name in brackets", '"': "name in double quotes"}


class FilterSyntaxError(ValueError):
    """A filter or action that cannot be used. The message names the position, counted in characters from 1, and what was expected."""


@dataclass(frozen=True, slots=True)
class SqlToken:
    """One token. `text` has quotes and brackets removed; keywords are in upper case."""

    kind: Kind
    text: str
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def tokenize(text: str) -> list[SqlToken]:
    """All tokens, with one of the kind `end` behind them. Raises FilterSyntaxError."""
    if len(text) > LONGEST:
        raise FilterSyntaxError(f"it has {len(text):,} characters; {LONGEST:,} are allowed")
    tokens: list[SqlToken] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, len(text) - len(text[position:].lstrip()))
        tokens.append(_token(match))
        position = match.end()
    return tokens


def _token(match: re.Match[str]) -> SqlToken:
    kind, found = match.lastgroup or "end", match[match.lastgroup or "end"]
    position = match.start(kind) + 1
    if kind == "parameter":
        raise FilterSyntaxError(f"position {position}: the parameter {found!r} has no value here; write the value into the expression")
    if kind == "text":
        return SqlToken("text", found.replace("''", "'"), position - 1)
    if kind == "delimited":
        return SqlToken("delimited", found.replace("]]", "]"), position - 1)
    if kind == "quoted":
        return SqlToken("delimited", found.replace('""', '"'), position - 1)
    if kind == "name" and found.upper() in KEYWORDS:
        return SqlToken("keyword", found.upper(), position)
    return SqlToken(kind, found, position)  # type: ignore[arg-type]  # the groups left are named like kinds


def _unreadable(text: str, start: int) -> FilterSyntaxError:
    if text[start] in _OPEN:
        return FilterSyntaxError(f"position {start + 1}: the {_OPEN[text[start]]} is empty or does not end")
    return FilterSyntaxError(f"position {start + 1}: {text[start]!r} cannot stand here")
