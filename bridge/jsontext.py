"""Parses JSON (RFC 8259) more strictly than Python does.

Text must be UTF-8 without a byte order mark. NaN is refused, objects are at most 200 levels deep, and integers are exact. In what a caller
writes, no name may appear twice in one object, because one program reads its first value and another its last. What was checked would
then not be what is used.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from pydantic_core import from_json, to_json

from bridge.errors import Malformed, UnsupportedMediaType, Violation
from bridge.files import textfile

_MOST = 100  #: repeated names that are listed
_SEARCHED = 128 * 1024  #: bytes; it takes 40 ms to find the places in so many
_LONGEST = 1_000  #: characters of a content type that is looked at
_PARAMETER = re.compile(r';\s*([^=;\s"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def parse_json(body: bytes | str) -> Any:
    """Read JSON with exact integers. Raises Malformed with the place of the error."""
    return read_json(body)[0]


def read_json(body: bytes | str) -> tuple[Any, bytes]:
    """The value that `parse_json` returns, and the same as compact JSON. Raises Malformed."""
    try:
        value = from_json(body, allow_inf_nan=False)
        written = to_json(value)
        if b"Infinity" in written:
            from_json(written, allow_inf_nan=False)  # fails for 1e400, which was read as infinity, and not for a text with that word
    except ValueError as fault:
        raise Malformed(
            f"The body is not JSON: {fault}{_encoding(body)}.",
            hint="Send one JSON value in UTF-8 without a byte order mark, without NaN, at most 200 levels deep.",
        ) from None
    return value, written


def read_unique_json(body: bytes) -> tuple[Any, bytes]:
    """Like `read_json`, for text from a caller. Raises Malformed with a JSON pointer for each name that appears twice."""
    value, written = read_json(body)
    violations = repeated_names(body, written)
    if violations:
        raise Malformed(
            f"The body is ambiguous: {violations[0]['detail']}.",
            hint="Name each member of an object once (RFC 8259, section 4).",
            errors=violations,
        )
    return value, written


def repeated_names(body: bytes, written: bytes) -> list[Violation]:
    """A violation for each name that appears more than once in its object, at most a hundred. `written` is the value as compact JSON.

    In a body of more than 128 KiB the names are not searched for, because that would take long. One violation then stands for all.
    """
    return _places(body, _SEARCHED) if _is_ambiguous(body, written) else []


def repeated_names_of_items(body: bytes, written: bytes, items: list[Any]) -> list[list[Violation]]:
    """Like `repeated_names`, for each item of the array in `body`. The 128 KiB apply to all items together."""
    found: list[list[Violation]] = [[] for _ in items]
    if not _is_ambiguous(body, written):
        return found
    left = _SEARCHED
    for number, part in enumerate(msgspec.json.decode(body, type=list[msgspec.Raw])):
        if _is_ambiguous(bytes(part), to_json(items[number])):
            found[number] = _places(bytes(part), left)
            left -= len(bytes(part))
    return found


def _places(body: bytes, searched: int) -> list[Violation]:
    """The places in a body that is ambiguous, unless it has more than `searched` bytes."""
    if len(body) > searched:
        return [Violation(pointer="", rule="unique", detail="a name stands more than once in one object")]
    return list(islice(_repeated(body), _MOST))


def _is_ambiguous(body: bytes, written: bytes) -> bool:
    r"""Whether a name appears more than once in an object of `body`.

    The parser keeps the last of such members. So both texts have the same number of quotation marks if and only if there is none: they
    begin and end strings or are inside them as `\"`, and compact JSON writes an escaped one (`\u0022`) as `\"`. Counting them is cheap.
    """
    marks = body.count(b'"')
    if b"\\u0022" in body:
        marks += body.replace(rb"\\", b"").count(b"\\u0022")
    return marks != written.count(b'"')


class _Repeating(dict[str, Any]):
    """An object in which these names appeared more than once."""

    names: Sequence[str] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = _Repeating(found)
    repeating.names = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    return repeating


def _repeated(body: bytes) -> Iterator[Violation]:
    waiting: list[tuple[str, Any]] = [("", json.loads(body, object_pairs_hook=_object, parse_int=str, parse_float=str))]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, _Repeating):
            for name in value.names:
                yield Violation(pointer=f"{place}/{_step(name)}", rule="unique", detail=f"the name {name[:100]!r} stands more than once")
        if isinstance(value, dict):
            waiting += [(f"{place}/{_step(name)}", part) for name, part in value.items() if isinstance(part, dict | list)]
        elif isinstance(value, list):
            waiting += [(f"{place}/{number}", part) for number, part in enumerate(value) if isinstance(part, dict | list)]


def readable_members(body: bytes) -> dict[str, Any]:
    """The members that can be read of an object that `read_json` refuses: a byte order mark stands before it, or some of its values have
    bytes that are not UTF-8 or are nested too deeply. Raises ValueError if it is no JSON object otherwise, or repeats a name.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        parts = {name: bytes(part) for name, part in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if body.count(b'"') != sum(part.count(b'"') + to_json(name).count(b'"') for name, part in parts.items()):
        raise ValueError("a name stands more than once")
    found: dict[str, Any] = {}
    for name, part in parts.items():
        with suppress(ValueError):
            found[name] = from_json(part)
    return found


def require_utf_8(content_type: str) -> None:
    """Raises UnsupportedMediaType if a content type names another charset: JSON between programs is UTF-8 (RFC 8259, section 8.1)."""
    if ";" not in content_type:
        return
    for name, value in _PARAMETER.findall(content_type[:_LONGEST]):
        charset = value.strip('"')
        if name.lower() == "charset" and charset.lower() not in _UTF_8:
            raise UnsupportedMediaType(f"The charset {charset[:40]!r} is not accepted.", hint="Send JSON as UTF-8, with no other charset.")


def _encoding(body: bytes | str) -> str:
    """What is wrong with the encoding of a body, as the end of a sentence; empty if nothing is."""
    if isinstance(body, str):
        return ""
    if encoding := textfile.byte_order_mark(body)[1]:
        return f"; it begins with a byte order mark of {encoding.upper()}"
    if b"\0" in body[:4]:
        return "; it looks like UTF-16 or UTF-32"
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return f"; its byte {body[fault.start]:#04x} at offset {fault.start} is not UTF-8"
    return ""


def _step(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901). Long names are shortened, because the pointer is part of an answer."""
    return name[:100].replace("~", "~0").replace("/", "~1")
