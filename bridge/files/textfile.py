"""Reads text files as editors write them: in UTF-8, or in what their byte order mark names, as on Windows and in Visual Studio."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

import pyjson5

#: UTF-32 stands first, because its mark in little-endian order begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NEAR = re.compile(r" near (\d+)")


def byte_order_mark(data: bytes) -> tuple[bytes, str]:
    """The mark that the data begins with, and the encoding that it names; both are empty where there is none."""
    return next(((mark, encoding) for mark, encoding in _MARKS if data.startswith(mark)), (b"", ""))


def decode(data: bytes) -> str:
    """The text without its byte order mark. Raises UnicodeDecodeError."""
    mark, encoding = byte_order_mark(data)
    return data[len(mark) :].decode(encoding or "utf-8")


def read(path: Path) -> str:
    """The text of a file. Raises OSError, UnicodeDecodeError."""
    return decode(path.read_bytes())


def read_json(path: Path) -> Any:
    """The value of a JSON file with comments, trailing commas and what else JSON5 allows, as Azure's own tools read theirs.

    Raises OSError, or ValueError with the place.
    """
    return parse_json(read(path))


def json_object(path: Path) -> dict[str, Any]:
    """The object in such a file; an empty one if it cannot be read or holds something else, for what is told elsewhere or need not be."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def parse_json(text: str) -> Any:
    """The value of the text of such a file. Raises ValueError with the place."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return pyjson5.loads(text)
    except pyjson5.Json5NestingTooDeep:
        raise ValueError("it is nested too deeply to be read") from None
    except pyjson5.Json5DecoderException as fault:
        raise ValueError(_place(text, str(fault.args[0]))) from None


def _place(text: str, message: str) -> str:
    """The message with line and column, which count from 1, in place of the number of the character."""
    near = _NEAR.search(message)
    if near is None:
        return message
    before = text[: max(int(near[1]) - 1, 0)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return f"not JSON at line {line}, column {column}"
