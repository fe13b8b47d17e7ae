"""Parses the request header `Prefer` (RFC 7240)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LONGEST = 1_000  #: characters; a server may ignore preferences, and ignores longer ones
_PART = re.compile(r'(?:[^",;]|"(?:[^"\\]|\\.)*")+|[,;"]')
_ESCAPED = re.compile(r"\\(.)")


def preferences(lines: list[str]) -> dict[str, str]:
    """The value of each preference, by its name in lower case; the value may be empty. Parameters behind `;` are dropped.

    All lines of the header are one list. If a preference appears twice, the first one applies (section 2).
    """
    found: dict[str, str] = {}
    text = ",".join(lines)
    for written in _written(text) if len(text) <= _LONGEST else ():
        name, _, value = written.partition("=")
        found.setdefault(name.strip().lower(), _unquoted(value.strip()))
    return found


def wait(lines: list[str], most: float) -> float | None:
    """Seconds of the preference `wait` (section 4.3), at most `most`; None if it is missing or not a whole number."""
    if not lines:
        return None
    seconds = preferences(lines).get("wait", "")
    return min(int(seconds), most) if seconds.isascii() and seconds.isdecimal() else None


def _written(text: str) -> Iterator[str]:
    """Each preference without its parameters. Commas and semicolons inside quotes separate nothing."""
    wanted = True
    for part in _PART.findall(text):
        if part in (",", ";"):
            wanted = part == ","
        elif wanted:
            yield part
            wanted = False


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
