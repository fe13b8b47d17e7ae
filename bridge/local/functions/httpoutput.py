"""The value of an `http` output binding as the response that Azure's host makes of it (RawScriptResult.cs)."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.local.functions import newtonsoftreader, newtonsoftwriter
from bridge.local.functions.httpmessage import HttpResponse

_CONTENT_TYPE = "content-type"
BODILESS = (204, 205, 304)  #: statuses of answers that have no body
_CHARSET = re.compile(r"charset=(.*)", re.IGNORECASE)


def response(value: Mapping[str, Any] | None) -> HttpResponse:
    """The response for a function's output; 204 if it has pushed none.

    Text always gets a charset. Of two content types the last one counts, of any other header that comes twice the first.
    """
    if value is None:
        return HttpResponse(204)
    content = value["http"]
    headers, encoding = _headers(content["headers"], is_text=_is_text(content["body"]))
    status = int(content["status"])
    return HttpResponse(status, headers, b"" if status in BODILESS else _body(content["body"], encoding))


def _headers(pairs: Sequence[Sequence[str]], *, is_text: bool) -> tuple[list[tuple[str, str]], str]:
    """The headers as they are sent, and the encoding of the body."""
    headers: dict[str, tuple[str, str]] = {}
    for name, text in pairs:
        if name.lower() == _CONTENT_TYPE or name.lower() not in headers:
            headers[name.lower()] = (name, text)
    encoding = "utf-8"
    if is_text and _CONTENT_TYPE in headers:
        content_type, encoding = with_charset(headers[_CONTENT_TYPE][1])
        headers[_CONTENT_TYPE] = ("Content-Type", content_type)
    return list(headers.values()), encoding


def _is_text(value: Mapping[str, Any]) -> bool:
    return not value.keys() & {"bytes", "stream"}


def _body(value: Mapping[str, Any], encoding: str) -> bytes:
    ((kind, content),) = value.items()
    if not _is_text(value):
        return b64decode(content)
    return (_json_text(content) if kind == "json" else _number(content)).encode(encoding, "replace")


def _number(content: object) -> str:
    """Text as it is; a number as .NET writes it."""
    return str(int(content)) if isinstance(content, float) and content.is_integer() and abs(content) < 1e15 else str(content)


def _json_text(text: str) -> str:
    """Objects and arrays are written anew with indents; a scalar is written as .NET shows it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, (dict, list)):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return "" if value is None else value if isinstance(value, str) else _number(value)


def text(value: object, *, indent: bool = True) -> str:
    """A value of JSON as Azure's host writes it into a body: `True`, `1E+30`, indented objects, a time anew."""
    if isinstance(value, dict | list):
        return json.dumps(value, indent=2, ensure_ascii=False) if indent else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if value is None:
        return ""
    return newtonsoftwriter.text_of(newtonsoftreader.time(value) if isinstance(value, str) else value)


def with_charset(content_type: str) -> tuple[str, str]:
    """The content type as it is sent, and the encoding of the body. UTF-16 is honoured, any other charset becomes UTF-8."""
    found = _CHARSET.search(content_type)
    if found is None:
        return f"{content_type}; charset=utf-8", "utf-8"
    named = found[1].strip(' "').lower()
    if named in ("utf-16", "utf-16le", "unicode"):
        return content_type, "utf-16-le"
    return (content_type if named == "utf-8" else f"{content_type[: found.start()]}charset=utf-8"), "utf-8"
