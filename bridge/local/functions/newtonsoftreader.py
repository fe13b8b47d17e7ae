"""JSON as .NET's library Newtonsoft.Json reads it, which the Functions host and its extensions use.

It takes more than the standard: names without quotes, single quotes, comments, commas too many, hexadecimal numbers. It takes text that
looks like a time for a time, and nothing that is nested deeper than 64.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

MOST_DEPTH = 64
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,7})\d*)?(Z|[+-]\d\d(?::?\d\d)?)?")
_SINCE_1970 = re.compile(r"/Date\((-?\d+)([+-]\d{4})?\)/")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])")
_PLAIN = re.compile(r"""[^\\'"]+""")
_NAME = re.compile(r"[\w$]+")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "undefined": None, "NaN": float("nan"), "Infinity": float("inf")}
_WORD = re.compile(r"-?[A-Za-z]+")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\", '"': '"', "'": "'"}
_standard = json.JSONDecoder(strict=False).decode
_BETWEEN = re.compile(r"(?:\s+|/\*.*?\*/|//[^\r\n]*)*", re.DOTALL)  #: blanks and comments


@dataclass(frozen=True, slots=True)
class JsonTime:
    """A time that stood in JSON as text. `written` is its form in JSON, `text` what `ToString()` makes of it."""

    written: str
    text: str


def is_container(text: str) -> bool:
    """Whether the host takes a text for JSON at all: it begins and ends as an object or an array does (Utility.IsJson)."""
    trimmed = text.strip()
    return len(trimmed) > 1 and (trimmed[0] + trimmed[-1]) in ("{}", "[]")


def parse(text: str, *, times: bool = True) -> Any:
    """The value that the text holds; with `times`, text that looks like a time is a `JsonTime`. Raises ValueError."""
    try:
        found = _standard(text)
    except RecursionError:
        raise ValueError(f"the JSON is nested deeper than {MOST_DEPTH}") from None
    except ValueError:
        found = _JsonNetReader(text).everything()
    return _checked(found, times=times)


def _checked(value: Any, *, times: bool, depth: int = 0) -> Any:
    """The value with its times. Raises ValueError for one that is nested too deep."""
    if isinstance(value, str):
        return time(value) if times else value
    if not isinstance(value, dict | list):
        return value
    if depth == MOST_DEPTH:
        raise ValueError(f"the JSON is nested deeper than {MOST_DEPTH}")
    if isinstance(value, list):
        return [_checked(each, times=times, depth=depth + 1) for each in value]
    return {name: _checked(each, times=times, depth=depth + 1) for name, each in value.items()}


def time(text: str) -> JsonTime | str:
    """A time where the text is one in ISO 8601 with seconds, or in Microsoft's old form; else the text. Offsets become UTC, as in Azure."""
    if not text[:1].isdigit() and text[:1] != "/":  # most text is none, and this is the fastest way to tell
        return text
    if since := _SINCE_1970.fullmatch(text):
        return _since_1970(int(since[1]), local=since[2] is not None) or text
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    moment, digits, zone = match.groups()
    try:
        found = datetime.fromisoformat(f"{moment}{zone if zone not in (None, 'Z') else ''}")
    except ValueError:
        return text
    if found.tzinfo is not None:
        try:
            found = found.astimezone(UTC)
        except OverflowError:
            return text
    fraction = (digits or "").rstrip("0")
    shown = f"{found:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (f".{fraction}" if fraction else "")
    return JsonTime(shown + ("" if zone is None else "Z" if zone == "Z" else "+00:00"), f"{found:%m/%d}/{found.year:04d} {found:%H:%M:%S}")


def _since_1970(milliseconds: int, *, local: bool) -> JsonTime | None:
    try:
        found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    fraction = f".{found.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return JsonTime(f"{found:%Y-%m-%dT%H:%M:%S}{fraction}{'+00:00' if local else 'Z'}", f"{found:%m/%d/%Y %H:%M:%S}")


class _JsonNetReader:
    """Reads what is no standard JSON."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def everything(self) -> Any:
        found = self._value(0)
        if self._next():
            raise self._wrong("the end")
        return found

    def _wrong(self, expected: str) -> ValueError:
        return ValueError(f"the JSON has something else than {expected} at character {self._at}")

    def _next(self) -> str:
        """The next character that is neither blank nor in a comment; "" at the end."""
        between = _BETWEEN.match(self._text, self._at)
        self._at = between.end() if between is not None else self._at
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Any:
        if depth > MOST_DEPTH:
            raise ValueError(f"the JSON is nested deeper than {MOST_DEPTH}")
        match self._next():
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"' | "'":
                return self._string()
        return self._scalar()

    def _object(self, depth: int) -> dict[str, Any]:
        self._at += 1
        found: dict[str, Any] = {}
        while (character := self._next()) != "}":
            name = self._string() if character in ('"', "'") else self._name()
            if self._next() != ":":
                raise self._wrong("a colon")
            self._at += 1
            found[name] = self._value(depth + 1)
            self._separator("}")
        self._at += 1
        return found

    def _array(self, depth: int) -> list[Any]:
        self._at += 1
        found: list[Any] = []
        while (character := self._next()) != "]":
            found.append(None if character == "," else self._value(depth + 1))
            self._separator("]")
        self._at += 1
        return found

    def _separator(self, end: str) -> None:
        character = self._next()
        if character == ",":
            self._at += 1
        elif character != end:
            raise self._wrong(f"a comma or {end}")

    def _name(self) -> str:
        name = _NAME.match(self._text, self._at)
        if name is None:
            raise self._wrong("a name")
        self._at = name.end()
        return name[0]

    def _scalar(self) -> Any:
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return _number(number[0])
        word = _WORD.match(self._text, self._at)
        if word is not None and word[0].removeprefix("-") in _WORDS and (word[0][0] != "-" or word[0] == "-Infinity"):
            self._at = word.end()
            return float("-inf") if word[0] == "-Infinity" else _WORDS[word[0]]
        raise self._wrong("a value")

    def _string(self) -> str:
        quote = self._text[self._at]
        pieces: list[str] = []
        self._at += 1
        while self._at < len(self._text):
            if plain := _PLAIN.match(self._text, self._at):
                pieces.append(plain[0])
                self._at = plain.end()
                continue
            character = self._text[self._at]
            self._at += 1
            if character == quote:
                return "".join(pieces)
            pieces.append(self._escaped() if character == "\\" else character)
        raise self._wrong("the end of a text")

    def _escaped(self) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1
        if character in _ESCAPES:
            return _ESCAPES[character]
        digits = self._text[self._at : self._at + 4]
        if character != "u" or not re.fullmatch("[0-9a-fA-F]{4}", digits):
            raise self._wrong("an escape")
        self._at += 4
        return chr(int(digits, 16))


def _number(text: str) -> int | float:
    """A leading 0 makes it octal."""
    digits = text.removeprefix("-")
    sign = -1 if text[0] == "-" else 1
    if digits[:2].lower() == "0x":
        return sign * int(digits, 16)
    if digits.isdecimal():
        return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
    return float(text)
