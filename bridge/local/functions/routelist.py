"""The routes of an app as `functions.json` lists them, so that the bridge can say which of its targets nobody serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.local.functions import routetemplate
from bridge.local.functions.adminpages import AppState, ListedFunction


def of_app(state: AppState, prefix: str) -> list[dict[str, Any]]:
    """Each HTTP function of an app, whether it runs or not.

    `{function, methods, path, least, rest, problem}`: `methods` is null for all. `path` has the segments in lower case, and null for one
    that takes any text; `least` of them must be there, and with `rest` any number may follow. `problem` is why the function does not run.
    """
    return [entry for each in state.functions for entry in _entries(each, prefix)]


def _entries(function: ListedFunction, prefix: str) -> Iterator[dict[str, Any]]:
    trigger = next((each for each in function.bindings if str(each.get("type")).lower() == "httptrigger"), None)
    if trigger is None:
        return
    text = str(trigger.get("route") or "").strip() or function.name
    try:
        template = routetemplate.parse(f"{prefix}/{text}" if prefix else text)
    except ValueError:
        return
    problem = function.problem or ("it is disabled by a setting" if function.disabled else "")
    if not problem and not function.indexed:
        problem = "it is not among the functions that host.json names"
    whole = [_one(segment) for segment in template.segments]
    rest = bool(template.parameters) and template.parameters[-1].takes_rest
    path = whole[:-1] if rest else whole
    needed = [index for index, segment in enumerate(template.segments[: len(path)], 1) if not _may_be_absent(segment)]
    yield {
        "function": function.name,
        "methods": _methods(trigger),
        "path": path,
        "least": max(needed, default=0),
        "rest": rest,
        "problem": problem,
    }


def _one(segment: Sequence[routetemplate.Part]) -> str | None:
    return segment[0].lower() if len(segment) == 1 and isinstance(segment[0], str) else None


def _may_be_absent(segment: Sequence[routetemplate.Part]) -> bool:
    return all(isinstance(part, routetemplate.Parameter) and (part.optional or part.default is not None) for part in segment)


def _methods(trigger: Mapping[str, object]) -> list[str] | None:
    methods = trigger.get("methods")
    listed = methods if isinstance(methods, list) else [methods] if isinstance(methods, str) else None
    return None if listed is None else [str(each).upper() for each in listed]
