"""Where this host is better than Azure's for C# apps on purpose: rules on behaviour, each with its reason, for vectors of the same form."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

#: Files that only tell Azure's host which extensions it has to load; here they are part of the host.
_OF_EXTENSIONS = ("extensions.json", ".azurefunctions")

_CANNOT_START = "an app that cannot start answers 503 and says why, where Azure's host ends, or shows an app without functions"


def accepted(vector: Json, app: Json, request: Json, expected: Json, seen: Json) -> str:
    """The reason why an answer that differs is right here; nothing if it is not."""
    if "noAnswerWithin" in expected and seen.get("status") in (200, 500):
        return "a call whose worker ends is answered whatever its exit code was, and the next one finds a new worker"
    if reason := start_accepted(vector, app):
        return reason if seen.get("status") in ((503,) if reason == _CANNOT_START else (200, 202, 204)) else ""
    if expected.get("status") == 500 and request.get("bodyRepeat") and seen.get("status") == 413:
        return "a body over the limit is 413, which says what is wrong"
    if request.get("chunked") and seen.get("status") == expected.get("status") == 200 and seen.get("headers") == expected.get("headers"):
        return "chunked bodies reach functions of every language"
    return ""


def start_accepted(vector: Json, app: Json) -> str:
    """The reason why an app that starts otherwise is right here."""
    start = vector.get("start") or {}
    if any(name.startswith(_OF_EXTENSIONS) for name in app.get("remove") or ()):
        return "extensions.json names extensions of Azure's host, and this one needs none of them"
    if any("functionscdn" in each for each in start.get("errors") or ()):
        return "extension bundles are not fetched, so an app without host.json starts without a network"
    nothing_runs = start.get("state") == "Running" and start.get("functions") == []
    if nothing_runs and (app.get("env") or {}).get("FUNCTIONS_WORKER_RUNTIME", "") is None:
        return "an app runs without a setting that says its runtime, because dotnet publish leaves local.settings.json out"
    if nothing_runs or start.get("state") == "process ended":
        return _CANNOT_START
    return ""


def call_accepted(vector: Json, seen: Json) -> str:
    """The reason why a call at the level of the protocol that ends otherwise is right here."""
    kinds = {kind for values in (vector["inputs"], vector.get("metadata", {})) for each in values.values() for kind in each}
    if kinds & {"int", "double"} and "is not supported" not in seen.get("exception", {}).get("message", ""):
        return "numbers go as JSON, because the worker of .NET refuses the kinds int and double"
    return ""
