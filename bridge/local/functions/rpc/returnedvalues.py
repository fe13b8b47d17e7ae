"""What a function returns instead of a response, as the response that Azure's host makes of it.

The rules are those of its HttpBinding.cs and RawScriptResult.cs. A value that is sent to another binding answers the request, too, because
nothing else does: as data, by the formatters of ASP.NET Core.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from bridge.local.functions import httpoutput, newtonsoftreader, newtonsoftwriter
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.handlervalues import BadAnswer
from bridge.local.functions.httpmessage import HttpResponse

_TEXT, _JSON = "text/plain", "application/json; charset=utf-8"
_STATUS = re.compile(r"\s*[+-]?\d+\s*")
_NOT_FOR_HEADERS = re.compile(r"[^\t\x20-\x7e]")


def bound(value: Value) -> HttpResponse:
    """The response for the value of an `http` output. Raises BadAnswer.

    Text is read as JSON if it is JSON. An object with a `body` describes the response, with `statusCode` and `headers`, in any letter case.
    """
    if "bytes" in value:
        return HttpResponse(200, [], b64decode(value["bytes"]))
    content = _read(value)
    described = {name.lower(): each for name, each in content.items()} if isinstance(content, dict) else {}
    if "body" not in described:
        content_type, body = shown(content)
        return HttpResponse(200, [("Content-Type", content_type)], body)
    return _described(described)


def unbound(value: Value) -> HttpResponse:
    """The response for a value that belongs to another output. Raises BadAnswer."""
    if "bytes" in value:
        return HttpResponse(200, [("Content-Type", _JSON)], json.dumps(value["bytes"]).encode())
    ((kind, content),) = value.items()
    found = _parsed(content, times=False) if kind == "json" else content
    if isinstance(found, str):
        return HttpResponse(200, [("Content-Type", f"{_TEXT}; charset=utf-8")], found.encode("utf-8", "replace"))
    if found is None:
        return HttpResponse(204)
    return HttpResponse(200, [("Content-Type", _JSON)], newtonsoftwriter.compact(found).encode("utf-8", "replace"))


def shown(content: Any, content_type: str = "") -> tuple[str, bytes]:
    """Content type and body for a value that is not bytes: text as it is, objects and arrays with indents."""
    kind, encoding = httpoutput.with_charset(content_type or _TEXT)
    return kind, newtonsoftwriter.text_of(content).encode(encoding, "replace")


def content_of(kind: str, content: Any) -> Any:
    """The value under a kind of TypedData that is not bytes. Raises BadAnswer."""
    return _parsed(content, times=False) if kind == "json" else content


def _read(value: Value) -> Any:
    ((kind, content),) = value.items()
    found = content_of(kind, content)
    if not isinstance(found, str):
        return found
    try:
        return newtonsoftreader.parse(found) if found.strip() else None
    except ValueError:
        return found


def _parsed(text: str, *, times: bool) -> Any:
    try:
        return newtonsoftreader.parse(text, times=times)
    except ValueError as wrong:
        raise BadAnswer(f"it returned JSON that is none: {wrong}") from None


def _described(found: Mapping[str, Any]) -> HttpResponse:
    """What the object describes; times in it are read, too, and an object as its body is written without blanks."""
    anew = _parsed(newtonsoftwriter.compact(dict(found)), times=True)
    content_type, headers = "", []
    given = anew.get("headers")
    for name, value in given.items() if isinstance(given, dict) else ():
        text = _header(name, value)
        if name.lower() == "content-type":
            content_type = text
        else:
            headers.append((name, text))
    status = _status(anew.get("statuscode", anew.get("status")))
    body = anew["body"]
    kind, data = shown(newtonsoftwriter.compact(body) if isinstance(body, dict) else body, content_type)
    return HttpResponse(status, [("Content-Type", kind), *headers], b"" if status in httpoutput.BODILESS else data)


def _status(given: object) -> int:
    """Raises BadAnswer."""
    if isinstance(given, bool) or not isinstance(given, int | str) or not _STATUS.fullmatch(str(given)):
        return 200
    if not 200 <= int(given) <= 999:
        raise BadAnswer(f"it returned the status {given}, after which an answer would still have to come, or which is none of HTTP")
    return int(given)


def _header(name: str, value: object) -> str:
    """Raises BadAnswer."""
    if value is None or isinstance(value, dict | list):
        raise BadAnswer(f"it returned the header {name} as {newtonsoftwriter.compact(value)}; it must be text, a number or a bool")
    text = newtonsoftwriter.text_of(value)
    if _NOT_FOR_HEADERS.search(text):
        raise BadAnswer(f"it returned the header {name} with a text that a header cannot carry")
    return text
