"""Whether an answer of a function is the one that was recorded of Microsoft's host."""

from __future__ import annotations

import json
import re
from typing import Any

from .host_vector_kit import Json, RecordedApp

_PORT = re.compile(r"\{rpcport\}|\{workerport\}|(?<=:)\{any\}")


def fits(expected: Json, seen: Json, app: RecordedApp) -> bool:  # noqa: PLR0911 - one for each kind of expectation
    """Whether what was seen is what was recorded."""
    if "noAnswerWithin" in expected:
        return "noAnswer" in seen
    if "gaveUp" in expected:
        return "gaveUp" in seen
    if "connection" in expected and seen.get("connection") != expected["connection"]:
        return "connection" in seen and "status" not in expected
    if "connection" in expected and "status" not in expected:
        return True
    if "status" not in seen or seen["status"] != expected["status"]:
        return False
    wanted = app.normalised(expected)
    if not _header_fits(wanted.get("headers") or {}, seen["headers"]):
        return False
    if "jsonSubset" in expected:
        return isinstance(seen.get("json"), dict) and all(
            _same(value, seen["json"].get(name)) for name, value in wanted["jsonSubset"].items()
        )
    if "json" in expected and isinstance(expected["json"], dict) and set(expected["json"]) == {"errors"}:
        return bool(isinstance(seen.get("json"), dict) and seen["json"].get("errors"))  # the words are .NET's
    return all(
        _same(wanted[name], seen.get(name)) for name in ("body", "bodyBase64", "json", "bodyLength", "contentLength") if name in expected
    )


def _header_fits(expected: Json, seen: Json) -> bool:
    return expected.keys() == seen.keys() and all(_same(text, seen[name]) for name, text in expected.items())


def _same(expected: Any, seen: Any) -> bool:
    """Equal, where `{any}` and the like stand for what cannot be known."""
    if isinstance(expected, str) and expected in ("{any}", "{port of the handler}"):
        return seen is not None
    if isinstance(expected, dict) and isinstance(seen, dict):
        return expected.keys() == seen.keys() and all(_same(each, seen[name]) for name, each in expected.items())
    if isinstance(expected, list) and isinstance(seen, list):
        return len(expected) == len(seen) and all(_same(*pair) for pair in zip(expected, seen, strict=True))
    if isinstance(expected, str) and isinstance(seen, str) and (ports := _PORT.split(expected))[1:]:
        return re.fullmatch(r"\d+".join(map(re.escape, ports)), seen) is not None
    if isinstance(expected, str) and isinstance(seen, str) and expected.startswith("{") and seen.startswith("{"):
        return _as_json(expected) == _as_json(seen)
    return type(expected) is type(seen) and bool(expected == seen)


def _as_json(text: str) -> Any:
    """The object in a text, whose members have no order; the text itself if it holds none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
