"""The path, query and header parameters of requests, and the headers of answers."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.api.openapi.node import Node, reference
from bridge.run import Status
from bridge.settings import Settings

#: The attributes of an event in binary mode (CloudEvents HTTP binding 1.0.2, section 3.1), for which the header is `ce-` and the name.
ATTRIBUTES: Mapping[str, str] = {
    "specversion": "`1.0`; tells that this is binary mode.",
    "id": "The event's id; also the correlation id unless `ce-correlationid` is set, whatever the source.",
    "source": "Where it comes from.",
    "type": "`automation.requested`.",
    "subject": "The automation.",
    "correlationid": "Your own id of the request. Set it where several sources may choose the same `id`.",
    "expirytime": "When the run is to end at the latest (RFC 3339); it can only shorten the automation's deadline.",
    "replytopic": "Where the reply goes; must be on the list of the settings.",
    "traceparent": "W3C trace context, passed on to functions and replies; without it the header `traceparent` counts.",
    "tracestate": "W3C trace context, passed on with a valid `traceparent`.",
}


def headers() -> Node:
    """The headers of answers, by name."""
    return {
        "Location": {
            "description": "Where the run is, below the path of `public_url` if it has one.",
            "schema": {"type": "string", "examples": ["/v1/requests/order-4711"]},
        },
        "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "integer", "minimum": 0}},
        "WWW-Authenticate": {"description": "Bearer.", "schema": {"const": "Bearer"}},
        "Allow": {"description": "The methods of the path.", "schema": {"type": "string"}},
        "Accept-Encoding": {"description": "With a refused content coding: none is taken.", "schema": {"const": "identity"}},
        "WebHook-Allowed-Origin": {"description": "The sender that asked.", "schema": {"type": "string"}},
        "WebHook-Allowed-Rate": {"description": "Any rate.", "schema": {"const": "*"}},
    }


def parameters(settings: Settings) -> Node:
    """The parameters of requests, by the names that operations use for them."""
    longest = int(settings.max_wait.total_seconds())
    text: Node = {"type": "string"}
    moment: Node = {"type": "string", "format": "date-time"}
    return {
        "Name": _path("name", "The automation.", text),
        "CorrelationId": _path("correlationId", "Your own id of the request.", reference("CorrelationId")),
        "Target": _path("target", "The target of the automation.", {"type": "string", "pattern": "^[a-z0-9-]{1,24}$"}),
        "Id": _path("id", "The dead letter.", text),
        "Wait": _query(
            "wait",
            f"Seconds to wait for the end, {longest} at most; also for a run that is not there yet.",
            {"type": "number", "minimum": 0, "default": 0},
        ),
        "Status": _query("status", "Only runs with this status.", {"enum": [str(status) for status in Status]}),
        "Automation": _query("automation", "Only runs of this automation.", text),
        "Reason": _query("reason", "Only dead letters with this reason.", text),
        "LetterAutomation": _query("automation", "Only dead letters that name this automation.", text),
        "Replayed": _query(
            "replayed",
            "Whether their event has been published again, from this dead letter or from the one it came back from.",
            {"type": "boolean"},
        ),
        "Entity": _query("entity", "Only those of this queue, topic or subscription (`topic/subscription`).", text),
        "Text": _query("text", "Only those that show this text somewhere, whatever its case. What is masked is not searched.", text),
        "Before": _query("before", "Only those kept, or enqueued at the broker, before this time.", moment),
        "ReplayOf": _query("replayOf", "Only what came back from replays of this dead letter.", text),
        "WithEvent": _query("event", "false leaves the events out.", {"type": "boolean", "default": True}),
        "Number": _query(
            "number",
            "This replay of the dead letter and no later one: 1 is the first. A number that is sent twice is replayed once.",
            {"type": "integer", "minimum": 1, "maximum": 999_999},
        ),
        "Since": _query("since", "Only runs created at this time or later.", moment),
        "Limit": _query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        "Cursor": _query("cursor", "The `nextCursor` of the page before.", text),
        "XCorrelationId": _header("X-Correlation-Id", "Your own id; one is made if it is absent.", reference("CorrelationId")),
        "XDeadline": _header("X-Deadline", "When the run is to end at the latest; it can only shorten the automation's deadline.", moment),
        "Prefer": _header(
            "Prefer", f"`wait=N` (RFC 7240): answer with the ended run if it ends within N seconds, {longest} at most.", text
        ),
        "LastEventId": _header("Last-Event-ID", "The `id` of the last event that an EventSource has seen.", text),
        "WebHookRequestOrigin": _header("WebHook-Request-Origin", "The DNS name of the sender that asks to deliver.", text),
        "Traceparent": _header("traceparent", "W3C trace context, passed on to functions and replies.", text),
        "Tracestate": _header("tracestate", "W3C trace context, passed on with a valid `traceparent`. Several lines are one list.", text),
        **{f"ce-{name}": _header(f"ce-{name}", f"Binary mode. {meaning}", text) for name, meaning in ATTRIBUTES.items()},
    }


def _path(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "header", "description": description, "schema": schema}
