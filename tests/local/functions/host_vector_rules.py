"""Where this host is better than Azure's on purpose: rules on what was recorded, each with its reason, for vectors of the same form."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

#: Types of bindings whose extension the recorded host did not have; this host serves them, or leaves out the function with its own reason.
EXTENSIONS = ("servicebus", "queue", "eventgrid", "blob", "eventhub", "cosmosdb", "kafka", "activity", "table")
#: Types of outputs that this host does not send.
_UNSENT = frozenset({"queue", "blob", "table", "eventhub", "eventgrid", "cosmosdb"})
#: Types of triggers and inputs that it does not serve.
_UNSERVED = _UNSENT - {"queue", "eventgrid"} | {
    "blobtrigger",
    "cosmosdbtrigger",
    "eventhubtrigger",
    "orchestrationtrigger",
    "activitytrigger",
}


def accepted(vector: Json, app: Json, request: Json, expected: Json, seen: Json) -> str:  # noqa: PLR0911 - one for each rule
    """The reason why an answer that differs is right here; nothing if it is not."""
    status = seen.get("status")
    if ("noAnswerWithin" in expected or "connection" in expected) and (status is None or status >= 500 or status == 200):
        return "a call is always answered: where Azure's host hangs or ends, this one says 5xx, or runs the function after a restart"
    if request.get("chunked") and (expected.get("status") == 500 or _without_body(expected) == _without_body(seen)):
        return "chunked bodies reach functions of every language"
    if expected.get("status") == 500 and request.get("bodyRepeat") and status == 413:
        return "a body over the limit is 413, which says what is wrong"
    if (expected.get("status") or 0) not in range(200, 600) and status == 500:
        return "a status that is none in HTTP is the function's failure"
    if _needs_extension(vector) and status in (200, 202, 204, 401, 404, 500):
        return "the extensions for Service Bus and by-hand triggers are part of this host"
    if request.get("path", "").startswith("/admin/host/config"):
        return "the settings of Azure's host are not those of this one"
    if _needs_network(vector):
        return "extension bundles are not fetched, so an app with one starts without a network"
    if any("configurationSource" in str(content) for name, content in app["files"].items() if name.endswith("function.json")):
        return "configurationSource belongs to compiled .NET functions, and is ignored in all others"
    return _of_the_app(app, request, expected, seen)


def _of_the_app(app: Json, request: Json, expected: Json, seen: Json) -> str:
    """The reason that lies in what the app is."""
    status, wanted = seen.get("status"), expected.get("status")
    runs = status == 200 and wanted == 500
    emptied = expected.get("body") == "" and bool(seen.get("body"))
    reasons = {
        "a function with a trigger or an input that this host cannot serve is left out, with the reason": status == 404
        and _function_of(app, request) in _left_out(app),
        "a script over its time is stopped alone, and the other calls of its worker go on": runs and _stops_alone(app),
        "modules of requirements.psd1 are not downloaded, and a call that needs none of them runs": runs and _downloads_modules(app),
        "an output that cannot be sent leaves the answer as it is; OutputNotSent in the log says so": runs
        and bool(_unsent_outputs(app, request)),
        "the length of a body is the host's to say, so a Content-Length that a function sets does not empty it": emptied
        and status == wanted
        and _sets_its_length(app, request),
        "a stream is sent whole: Azure's host reads it where its writer has left it, which is at its end": emptied
        and _reads_a_stream(app, request),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def start_accepted(vector: Json, app: Json, wanted: Json, seen: Json) -> str:
    """The reason why an app that starts otherwise is right here."""
    if _only_left_out(app, wanted, seen):
        return "a function with a trigger or an input that this host cannot serve is left out, with the reason, and its neighbours run"
    if vector["start"].get("state") == "process ended":
        return "a handler that ends is started again, and the host goes on"
    if _needs_network(vector):
        return "extension bundles are not fetched, so an app with one starts without a network"
    if _needs_extension(vector):
        return "the extensions for Service Bus and by-hand triggers are part of this host"
    if any("noAnswerWithin" in each for each in vector["expect"]) and seen["state"] == "Error":
        return "a program that is not there is an error at the start"
    return ""


def expected_log(vector: Json, app: Json) -> list[str]:
    """The lines that the vector's requests log here.

    Nothing runs behind a queue that this host does not serve: in place of what the function there logged, the log says `OutputNotSent`.
    """
    lines = list((vector.get("log") or {}).get("userLogSorted") or [])
    if not any(_unsent_outputs(app, each) for each in vector["requests"]):
        return lines
    own = "fail " if any(each.get("status", 0) >= 500 for each in vector["expect"]) else "fail ERROR: "
    behind = [each for each in lines if not each.startswith(own)]
    return [each for each in lines if each not in behind] + (["warn OutputNotSent"] if behind else [])


def expected_failures(vector: Json, app: Json) -> int | None:
    """How many executions fail here; None if nothing is known of that, as of a function behind a queue that this host does not serve."""
    failed: int | None = (vector.get("log") or {}).get("failedExecutions")
    return None if any(_unsent_outputs(app, each) for each in vector["requests"]) else failed


def log_accepted(vector: Json, app: Json) -> str:
    """The reason why another number of failures, or lines that are missing, are right here."""
    if any("noAnswerWithin" in each or "connection" in each for each in vector["expect"]):
        return "a call is always answered, and a worker that ends is started again"
    if any("ScheduleMonitor" in each for each in vector["start"].get("functionErrors", [])):
        return "a timer runs by hand without a storage account"
    if _stops_alone(app):
        return "a script over its time is stopped alone, and the other calls of its worker go on"
    if _downloads_modules(app):
        return "modules of requirements.psd1 are not downloaded, and a call that needs none of them runs"
    if any(_function_of(app, each) in _left_out(app) for each in vector["requests"]):
        return "a function with a trigger or an input that this host cannot serve is left out, so it logs nothing"
    return ""


def _left_out(app: Json) -> set[str]:
    """The functions with a trigger or an input that this host cannot serve."""
    return {
        name
        for name, bindings in _functions(app).items()
        if any(str(each.get("type")).lower() in _UNSERVED and str(each.get("direction", "in")).lower() != "out" for each in bindings)
    }


def _only_left_out(app: Json, wanted: Json, seen: Json) -> bool:
    """Whether all that differs is that routes of functions that are left out are not there."""
    missing = set(wanted.get("routes", ())) - set(seen.get("routes", ()))
    alike = all(seen.get(name) == value for name, value in wanted.items() if name != "routes")
    added = set(seen.get("routes", ())) - set(wanted.get("routes", ()))
    return alike and not added and bool(missing) and all(line.rpartition("'")[0].rpartition("'")[2] in _left_out(app) for line in missing)


def _functions(app: Json) -> dict[str, list[Json]]:
    """The bindings of each function."""
    files = {name: content for name, content in app["files"].items() if name.endswith("/function.json") and isinstance(content, str)}
    return {name.partition("/")[0]: _bindings(content) for name, content in files.items()}


def _function_of(app: Json, request: Json) -> str:
    """The function that a request is for, by its name at the admin endpoint or by its route as far as that is fixed."""
    path = str(request.get("path", "")).partition("?")[0].strip("/")
    for name, bindings in _functions(app).items():
        routes = [str(each.get("route") or name).lower() for each in bindings if each.get("type") == "httpTrigger"]
        if path.lower() == f"admin/functions/{name.lower()}":
            return name
        if any(path.lower().removeprefix("api/") == route.partition("/{")[0] for route in routes):
            return name
    return ""


def _stops_alone(app: Json) -> bool:
    return app["runtime"] == "powershell" and "functionTimeout" in str(app["files"].get("host.json"))


def _downloads_modules(app: Json) -> bool:
    return app["runtime"] == "powershell" and "managedDependency" in str(app["files"].get("host.json"))


def _sets_its_length(app: Json, request: Json) -> bool:
    return "content-length" in f"{app['files']} {request.get('body')}".lower()


def _reads_a_stream(app: Json, request: Json) -> bool:
    return app["runtime"] == "powershell" and "stream" in str(request.get("path", "")).lower()


def _unsent_outputs(app: Json, request: Json) -> list[str]:
    """The types of the outputs that this host does not send, of the function that the request is for."""
    bindings = _functions(app).get(_function_of(app, request), [])
    return [each["type"] for each in bindings if each.get("direction") == "out" and each["type"].lower() in _UNSENT]


def _bindings(content: str) -> list[Json]:
    try:
        return list(json.loads(content)["bindings"])
    except (ValueError, KeyError, TypeError):
        return []


def _needs_network(vector: Json) -> bool:
    return any("functionscdn" in each for each in vector["start"].get("errors", []))


def _needs_extension(vector: Json) -> bool:
    errors = " ".join(vector["start"].get("functionErrors", []))
    return "are not registered" in errors and any(f"'{name}" in errors.lower() for name in EXTENSIONS)


def _without_body(answer: Json) -> str:
    """The answer of the echo handler without what it saw of the body."""
    content = json.loads(json.dumps(answer.get("json"), sort_keys=True))
    try:
        sent = content["json"]
        sent["Data"]["req"].pop("Body", None)
        kept = ("Headers", "Query", "sys")
        sent["Metadata"] = {name: value for name, value in sent["Metadata"].items() if name in kept}
    except (KeyError, TypeError):
        pass
    return json.dumps(content, sort_keys=True)
