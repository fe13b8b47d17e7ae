"""The properties of a JSON body as trigger metadata, as the Functions host merges them into the binding data (Utility.ApplyBindingData)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.local.functions import newtonsoftreader, newtonsoftwriter
from bridge.local.functions.keys import QUERY as KEY

Value = dict[str, Any]
"""`{kind: content}`, as a worker takes it."""
THE_TRIGGER: Value = {"trigger": True}  #: stands in metadata for the value of the trigger, so that a large body is sent once


def plain(value: Value) -> Any:
    """The content of a value without its kind; what is JSON is read."""
    ((kind, content),) = value.items()
    return json.loads(content) if kind == "json" else content


def properties(body: str) -> dict[str, Value]:
    """The top-level properties of a JSON object that are neither null nor an array; scalars are text. Nothing for any other body.

    Names are compared without regard to letter case: the first form of a name stays, with the last value.
    """
    if not newtonsoftreader.is_container(body):
        return {}
    try:
        parsed = newtonsoftreader.parse(body)
    except ValueError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    return _joined((name, _value(value)) for name, value in parsed.items() if value is not None and not isinstance(value, list))


def of_request(route: Mapping[str, str | None], query: Mapping[str, str], body: str) -> dict[str, Value]:
    """What a request tells by name: properties of its body, then its query, then its route, each over what came before.

    A part of the route that is not set hides what else has its name, and the key of a function is left out of the query
    (HttpTriggerAttributeBindingProvider.cs of azure-webjobs-sdk-extensions).
    """
    found = over(properties(body), {name: {"string": text} for name, text in query.items() if name.lower() != KEY}) if body or query else {}
    if not route:
        return found
    unset = {name.lower() for name, text in route.items() if text is None}
    kept = {name: value for name, value in found.items() if name.lower() not in unset}
    return over(kept, {name: {"string": text} for name, text in route.items() if text is not None})


def with_request(function: str, parameter: str, found: dict[str, Value]) -> dict[str, Value]:
    """The metadata of a request with the request itself, under the name of the trigger's parameter and as `$request`.

    What the caller names like the parameter is hidden by it. `$request` of the caller stays, and so does `sys`: what Azure's host has
    under that name moves to `$sys` (FunctionBinding.cs and SystemBindingData.cs of azure-webjobs-sdk).
    """
    all_of_it = over(over({"$request": THE_TRIGGER}, found), {parameter: THE_TRIGGER})
    if any(name.lower() == "sys" for name in all_of_it):
        return over(all_of_it, {"$sys": {"json": newtonsoftwriter.compact(system(function))}})
    return all_of_it


def over(own: dict[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """The own entries, under their names, with the values that `merged` has for them in any letter case, and what else it has."""
    return _joined([*own.items(), *merged.items()]) if merged else own


def _joined(entries: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    names: dict[str, str] = {}
    return {names.setdefault(name.lower(), name): value for name, value in entries}


def _value(value: object) -> Value:
    return {"json": newtonsoftwriter.compact(value)} if isinstance(value, dict) else {"string": newtonsoftwriter.text_of(value)}


def system(function: str) -> dict[str, str]:
    """What Azure's host has as `sys` among the metadata of each invocation. PowerShell sees it only if the body has a `sys` too."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"MethodName": function, "UtcNow": now, "RandGuid": str(uuid.uuid4())}
