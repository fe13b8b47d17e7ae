"""The values of the HTTP API as JSON Schema 2020-12, for its OpenAPI description (contract 3.3)."""

from __future__ import annotations

from typing import Any

from bridge.openapi.node import Node, reference
from bridge.run import AttemptOutcome, Status

Schema = Node


def schemas() -> dict[str, Schema]:
    """Every named schema."""
    return {
        "CorrelationId": {"type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,100}$", "examples": ["order-4711"]},
        "Status": {"enum": [str(status) for status in Status], "description": "The last four are final."},
        "Run": _run(),
        "Invocation": _invocation(),
        "Attempt": _attempt(),
        "LateResult": _late_result(),
        "Progress": _object({"percent": {"type": "number", "minimum": 0, "maximum": 100}, "message": _TEXT}, [], "How far a run is."),
        "RunError": _object(
            {"code": _TEXT, "message": _TEXT, "hint": _TEXT, "errors": _VIOLATIONS}, ["code", "message"], "Why there is no output."
        ),
        "Violation": _object(
            {"pointer": {"type": "string", "description": "JSON pointer (RFC 6901)"}, "rule": _TEXT, "detail": _TEXT},
            ["pointer", "rule", "detail"],
            "Where an input or event breaks which rule.",
        ),
        "Problem": _problem(),
        "Runs": _page("Run"),
        "Change": _object(
            {"event": {"const": "run"}, "data": {**_TEXT, "contentMediaType": _JSON, "contentSchema": reference("Run")}},
            ["event", "data"],
            "One event of the stream: the run as it stands then. A comment comes every 15 s.",
        ),
        "BatchAnswer": _object(
            {"items": {"type": "array", "items": {"anyOf": [reference("Run"), reference("Problem")]}}},
            ["items"],
            "A run or a problem for each event.",
        ),
        "Automation": _automation(),
        "Automations": _object({"items": {"type": "array", "items": reference("Automation")}}, ["items"], "The catalogue."),
        "DeadLetter": _dead_letter(),
        "DeadLetters": _page("DeadLetter"),
        "Replay": _replay(),
        "Account": _account(),
        "Event": _event(),
        "InvocationState": _object(
            {"canceled": {"type": "boolean"}, "deadline": _TIME}, ["canceled", "deadline"], "What a running function may know."
        ),
        "Result": _result(),
        "Live": _object({"status": {"const": "live"}}, ["status"], "The process runs."),
        "Ready": _object(
            {"status": {"enum": ["ready", "not ready"]}, "parts": {"type": "object", "additionalProperties": _TEXT}},
            ["status", "parts"],
            "Each part the bridge depends on: `ok`, or what is wrong with it.",
        ),
    }


_JSON = "application/json"
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ANY: Schema = {"description": "Any JSON value."}
_VIOLATIONS: Schema = {"type": "array", "items": {"$ref": "#/components/schemas/Violation"}}


def _object(properties: dict[str, Schema], required: list[str], description: str, **more: Any) -> Schema:
    needed = {"required": required} if required else {}
    return {"type": "object", "description": description, "properties": properties, **needed, **more}


def _page(of: str) -> Schema:
    properties: dict[str, Schema] = {
        "items": {"type": "array", "items": reference(of)},
        "nextCursor": {"type": "string", "description": "Absent on the last page."},
    }
    return _object(properties, ["items"], "Newest first.")


def _account() -> Schema:
    count: Schema = {"type": "integer", "minimum": 0}
    by_name: Schema = {"type": "object", "additionalProperties": count}
    misfit = _object({"correlationId": _TEXT, "what": _TEXT}, ["correlationId", "what"], "An id that does not fit, and why.")
    properties: dict[str, Schema] = {
        "takenAt": _TIME,
        "accepted": {**count, "description": "Ended, forgotten and unfinished together."},
        "ended": {**by_name, "description": "By final status."},
        "forgotten": {**count, "description": "Ended, and kept no longer."},
        "unfinished": count,
        "replies": {**count, "description": "Ended runs whose reply was published."},
        "repliesDue": {**count, "description": "Ended just now; the reply is on its way."},
        "deadLetters": {**by_name, "description": "By reason."},
        "notAccepted": {**count, "description": "Asked for and never accepted: the caller got an error, or no answer."},
        "misfits": {"type": "array", "items": misfit, "description": "The first thousand."},
        "misfitCount": count,
    }
    return _object(properties, list(properties), "What was accepted, and what became of it.")


def _run() -> Schema:
    properties: dict[str, Schema] = {
        "correlationId": reference("CorrelationId"),
        "automation": _TEXT,
        "status": reference("Status"),
        "input": {"description": "The input; what its schema calls writeOnly is `***`."},
        "output": {"description": "One target: its output. Several: {target: output} of those that succeeded. Absent until the end."},
        "error": reference("RunError"),
        "progress": reference("Progress"),
        "createdAt": _TIME,
        "updatedAt": _TIME,
        "deadline": _TIME,
        "expiresAt": {**_TIME, "description": "Until when an ended run can be looked up."},
        "rerunOf": reference("CorrelationId"),
        "invocations": {"type": "array", "items": reference("Invocation")},
    }
    required = ["correlationId", "automation", "status", "createdAt", "updatedAt", "deadline", "invocations"]
    moment = "2026-01-31T12:00:00Z"
    example = {
        "correlationId": "order-4711",
        "automation": "table.summarize",
        "status": "Pending",
        "createdAt": moment,
        "updatedAt": moment,
        "deadline": "2026-01-31T12:05:00Z",
        "input": {"csv": "name,days\nrenewed,30\n"},
        "invocations": [{"target": "summarize", "status": "Pending", "attempts": []}],
    }
    return _object(properties, required, "The record of one request.", examples=[example])


def _invocation() -> Schema:
    properties: dict[str, Schema] = {
        "target": {"type": "string", "pattern": "^[a-z0-9-]{1,24}$"},
        "status": reference("Status"),
        "attempts": {"type": "array", "items": reference("Attempt")},
        "output": _ANY,
        "error": reference("RunError"),
        "lateResult": reference("LateResult"),
    }
    return _object(properties, ["target", "status", "attempts"], "One target's part of a run.")


def _attempt() -> Schema:
    properties: dict[str, Schema] = {
        "startedAt": _TIME,
        "outcome": {"enum": [str(outcome) for outcome in AttemptOutcome], "description": "Unknown: it may have run, but no answer came."},
        "durationMs": {"type": "integer", "minimum": 0, "description": "Milliseconds; absent while it runs."},
        "code": _TEXT,
        "message": _TEXT,
    }
    return _object(properties, ["startedAt", "outcome"], "One try of an invocation.")


def _late_result() -> Schema:
    properties = {"status": reference("Status"), "receivedAt": _TIME, "output": _ANY, "error": reference("RunError")}
    return _object(properties, ["status", "receivedAt"], "What a function said after its invocation had ended.")


def _problem() -> Schema:
    properties: dict[str, Schema] = {
        "type": {"type": "string", "format": "uri", "description": "`urn:automation-bridge:problem:` and the code."},
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "The word a program goes by."},
        "detail": {"type": "string", "description": "What happened."},
        "hint": {"type": "string", "description": "What to do next."},
        "errors": _VIOLATIONS,
    }
    return _object(properties, ["type", "title", "status", "code", "detail"], "A problem (RFC 9457).")


def _automation() -> Schema:
    properties: dict[str, Schema] = {
        "name": _TEXT,
        "description": _TEXT,
        "input": {"type": "object", "description": "JSON Schema 2020-12."},
        "deadline": {"type": "string", "examples": ["2m"]},
        "succeedsWhen": {"type": "string", "pattern": "^(all|any|best-effort|quorum:[1-9][0-9]*)$"},
        "allow": _object(
            {name: {"type": "array", "items": _TEXT} for name in ("submit", "read")}, [], "Roles; absent means as if nothing was said."
        ),
        "targets": {"type": "array", "items": {"type": "object"}},
    }
    return _object(
        properties, ["name", "description", "input", "deadline", "succeedsWhen", "allow", "targets"], "A named thing that can be asked for."
    )


def _dead_letter() -> Schema:
    properties: dict[str, Schema] = {
        "id": _TEXT,
        "reason": {"type": "string", "examples": ["Malformed", "CorrelationConflict", "GaveUp", "ReplyUndeliverable", "Undeliverable"]},
        "detail": _TEXT,
        "source": {"type": "string", "description": "The subscription or queue it came from."},
        "topic": {"type": "string", "description": "Where a replay publishes it."},
        "attempts": {"type": "integer"},
        "keptAt": _TIME,
        "correlationId": _TEXT,
        "automation": _TEXT,
        "contentType": _TEXT,
        "causationId": _TEXT,
        "replayOf": {"type": "string", "description": "The dead letter whose replay came back as this one."},
        "replays": {"type": "array", "items": reference("Replay")},
        "replaying": {
            "allOf": [reference("Replay"), {"required": ["until"], "properties": {"until": _TIME}}],
            "description": "A replay that is not confirmed: under way until then; after that interrupted, and free to be made again.",
        },
        "event": {"description": "The original, tokens and writeOnly input masked; absent with event=false."},
        "body": {"type": "string", "description": "Instead of `event`, if it is no JSON: text, or base64."},
    }
    return _object(properties, ["id", "reason", "detail", "source", "topic", "attempts", "keptAt"], "An event that led nowhere.")


def _replay() -> Schema:
    properties: dict[str, Schema] = {
        "at": _TIME,
        "by": {"type": "string", "description": "Who asked for it."},
        "messageId": {"type": "string", "description": "Of the message: the letter's id, a slash, and the number of the replay."},
        "edited": {"type": "boolean", "description": "Whether an edited event was published; the letter keeps the original."},
        "unconfirmed": {"const": True, "description": "It was interrupted: whether it was published is not known."},
    }
    return _object(properties, ["at", "by", "messageId", "edited"], "The event of a dead letter, published once more.")


def _event() -> Schema:
    properties: dict[str, Schema] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"const": "automation.requested"},
        "subject": {"type": "string", "description": "The automation's name."},
        "time": _TIME,
        "datacontenttype": {"type": "string"},
        "correlationid": reference("CorrelationId"),
        "expirytime": {**_TIME, "description": "The deadline; it can only shorten the automation's."},
        "replytopic": {"type": "string", "description": "Where the reply goes; must be on the list of the settings."},
        "traceparent": _TEXT,
        "tracestate": _TEXT,
        "data": {"description": "The input of the automation."},
        "data_base64": {"type": "string", "description": "Instead of `data`: the input as JSON in base64."},
    }
    example = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/orders",
        "type": "automation.requested",
        "subject": "table.summarize",
        "data": {"csv": "a\n1\n"},
    }
    return _object(
        properties, ["specversion", "id", "source", "type", "subject"], "A CloudEvent 1.0 that asks for an automation.", examples=[example]
    )


def _result() -> Schema:
    error: dict[str, Schema] = {"code": _TEXT, "message": _TEXT, "hint": _TEXT, "retriable": {"type": "boolean"}}
    progress: dict[str, Schema] = {
        "percent": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
        "message": {"type": ["string", "null"]},
    }
    properties: dict[str, Schema] = {
        "status": {"enum": ["succeeded", "failed", "running"]},
        "output": _ANY,
        "error": {"anyOf": [_object(error, [], "Why it failed."), {"type": "null"}]},
        "progress": {"anyOf": [_object(progress, [], "With `running`."), {"type": "null"}]},
    }
    return _object(
        properties,
        ["status"],
        "The data of automation.result.",
        examples=[{"status": "running", "progress": {"percent": 40, "message": "half"}}],
    )
