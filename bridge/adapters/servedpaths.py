"""Whether a function of a local app answers at a path, by the routes that the functions host lists in `functions.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote


def why_not(name: str, entry: Mapping[str, Any], method: str, path: str) -> str:
    """Why nobody answers; empty if a function may answer, or the host lists no routes.

    In `path` each `{name}` stands for any text. Constraints of routes are not looked at, so the answer is only given where it is sure.
    """
    if problem := entry.get("problem"):
        return f"{name} does not run: {problem}"
    routes = entry.get("routes")
    if not isinstance(routes, list):
        return ""
    segments = [_segment(each) for each in path.partition("?")[0].strip("/").split("/") if each]
    there = [each for each in routes if _fits(each, segments)]
    taking = [each for each in there if each["methods"] is None or method in each["methods"]]
    if any(not each["problem"] for each in taking):
        return ""
    if taking:
        return f"the function {taking[0]['function']} of {name} does not run: {taking[0]['problem']}"
    if there:
        methods = ", ".join(there[0]["methods"]) or "no method"
        return f"the function {there[0]['function']} of {name} takes {methods} at {path}, and not {method}; correct the method"
    return f"{name} has no function at {path}; correct the path, `bridge functions list` shows the routes"


def _segment(text: str) -> str | None:
    return None if "{" in text else unquote(text).lower()


def _fits(route: Mapping[str, Any], segments: Sequence[str | None]) -> bool:
    path = route["path"]
    if len(segments) < route["least"] or (len(segments) > len(path) and not route["rest"]):
        return False
    return all(one is None or other is None or one == other for one, other in zip(path, segments, strict=False))
