"""The values of the HTTP API as JSON Schema 2020-12, for its OpenAPI description.

The schemas of answers are derived from the types in `bridge.client`. Those of requests are written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bridge.api.openapi.node import Node, reference
from bridge.client import answers, configurationview, deadletterview

Schema = Node

#: The named schemas of answers. Their names stand in the description, so a type may get another name but a schema may not.
ANSWERS: Mapping[str, Any] = {
    "CorrelationId": answers.CorrelationId,
    "Status": answers.Status,
    "Run": answers.RunView,
    "Invocation": answers.InvocationView,
    "Attempt": answers.AttemptView,
    "LateResult": answers.LateResultView,
    "Progress": answers.ProgressView,
    "WaitingFor": answers.WaitingForView,
    "RunError": answers.RunErrorView,
    "Violation": answers.ViolationView,
    "Problem": answers.ProblemView,
    "Runs": answers.RunsView,
    "BatchAnswer": answers.BatchAnswerView,
    "Allow": answers.AllowView,
    "Automation": answers.AutomationView,
    "Automations": answers.AutomationsView,
    "Policy": configurationview.PolicyView,
    "Limits": configurationview.LimitsView,
    "TopicIdentity": configurationview.TopicIdentityView,
    "Settings": configurationview.SettingsView,
    "Configuration": configurationview.ConfigurationView,
    "DeadLetter": deadletterview.DeadLetterView,
    "DeadLetters": deadletterview.DeadLettersView,
    "Missing": deadletterview.MissingView,
    "Replay": deadletterview.ReplayView,
    "ReplayUnderWay": deadletterview.ReplayUnderWayView,
    "Account": answers.AuditReportView,
    "Discrepancy": answers.DiscrepancyView,
    "InvocationState": answers.InvocationStateView,
    "Live": answers.LiveView,
    "Ready": answers.ReadyView,
}
_RUN_EXAMPLE = {
    "correlationId": "order-4711",
    "automation": "table.summarize",
    "status": "Pending",
    "createdAt": "2026-01-31T12:00:00Z",
    "updatedAt": "2026-01-31T12:00:00Z",
    "deadline": "2026-01-31T12:05:00Z",
    "input": {"csv": "name,days\nrenewed,30\n"},
    "invocations": [{"target": "summarize", "status": "Pending", "attempts": []}],
}
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ANY: Schema = {"description": "Any JSON value."}


def schemas() -> dict[str, Schema]:
    """All named schemas."""
    found = _answers()
    found["Run"]["examples"] = [_RUN_EXAMPLE]
    return {**found, "Change": _change(), "Event": _event(), "Result": _result()}


class _Untitled(GenerateJsonSchema):
    """pydantic's generator without the titles that only repeat the name of a field."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature is pydantic's
        return False


def _answers() -> dict[str, Schema]:
    names = {kind.__name__: name for name, kind in ANSWERS.items()}
    adapters = [(name, "validation", TypeAdapter(kind)) for name, kind in ANSWERS.items()]
    _, document = TypeAdapter.json_schemas(adapters, schema_generator=_Untitled)  # type: ignore[arg-type]  # a list is invariant
    found = {names[key]: _renamed(schema, names) for key, schema in document["$defs"].items()}
    return {name: found[name] for name in ANSWERS}


def _renamed(schema: Schema, names: Mapping[str, str]) -> Schema:
    """The schema with the names of the description in its references, instead of those of the types."""

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return {**node, **reference(names[node["$ref"].rpartition("/")[2]])}
        return {key: walk(child) for key, child in node.items()}

    named: Schema = walk(schema)
    named.pop("title", None)
    return named


def _change() -> Schema:
    data = {**_TEXT, "contentMediaType": "application/json", "contentSchema": reference("Run")}
    properties: dict[str, Schema] = {"event": {"const": "run"}, "id": _TEXT, "data": data}
    return _object(properties, ["event", "id", "data"], "One event of the stream: the run as it stands then. A comment comes every 15 s.")


def _object(properties: dict[str, Schema], required: list[str], description: str, **more: Any) -> Schema:
    needed = {"required": required} if required else {}
    return {"type": "object", "description": description, "properties": properties, **needed, **more}


def _event() -> Schema:
    properties: dict[str, Schema] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "description": "Also the correlation id, unless `correlationid` is set."},
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
        properties, ["specversion", "id", "source", "type", "subject"], "A CloudEvent 1.0 that requests an automation.", examples=[example]
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
        "error": {
            "anyOf": [
                _object(error, [], "Why it failed; with `running`, why one delivery of the work failed, which ends nothing."),
                {"type": "null"},
            ]
        },
        "progress": {"anyOf": [_object(progress, [], "With `running`."), {"type": "null"}]},
    }
    return _object(
        properties,
        ["status"],
        "The data of automation.result.",
        examples=[{"status": "running", "progress": {"percent": 40, "message": "half"}}],
    )
