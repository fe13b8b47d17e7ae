"""The HTTP API as OpenAPI 3.1: every path of `bridge.api`, with every parameter, status, header and problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.openapi_schemas import reference, schemas
from bridge.run import Status
from bridge.settings import Settings

Node = dict[str, Any]

#: Status of a problem: what it means, and the codes that come with it.
_PROBLEMS: Mapping[int, tuple[str, Sequence[str]]] = {
    400: ("The request is not what the contract asks for.", ["Malformed", "InvalidCorrelationId"]),
    401: ("No valid token came with the request.", ["Unauthorized"]),
    403: ("The caller's roles do not allow this.", ["Forbidden"]),
    404: ("There is no such thing, or it is not the caller's to see.", ["NotFound", "UnknownAutomation"]),
    405: ("The path has no such method.", ["MethodNotAllowed"]),
    408: ("The request was not whole in time.", ["RequestTimeout"]),
    409: (
        "The correlation id belongs to another request, the run has no output, somebody else was faster, or a deadline has passed.",
        ["CorrelationConflict", "NoOutput", "ChangedMeanwhile", "BeingReplayed", "NotReplayable"],
    ),
    410: ("The run has already ended.", ["AlreadyEnded"]),
    413: ("The body is too large.", ["TooLarge"]),
    415: ("This content type is not taken here.", ["UnsupportedMediaType"]),
    421: ("Without tokens the API answers under its loopback names only, and to no page of another origin.", ["WrongHost"]),
    422: (
        "The input does not fit, or the deadline or reply topic cannot be used.",
        ["InvalidInput", "DeadlinePassed", "ReplyTopicNotAllowed", "Undeliverable"],
    ),
    431: ("The headers are too large.", ["HeadersTooLarge"]),
    500: ("A mistake of the bridge; its log says more.", ["InternalError"]),
    503: ("It could not be made durable, or there is no room.", ["Unavailable", "Full"]),
}
_EVERYWHERE = (400, 405, 408, 421, 431, 500)
_ASKING = (400, 401, 403, 404, 409, 413, 415, 422, 503)
_NO_EVENT: Node = {"description": "Anything else: a problem stands in its place of the answer."}
#: The attributes of an event in binary mode (CloudEvents HTTP binding 1.0.2, section 3.1), for which the header is `ce-` and the name.
_ATTRIBUTES: Mapping[str, str] = {
    "specversion": "`1.0`; tells that this is binary mode.",
    "id": "The event's id; the correlation id too unless `ce-correlationid` is there.",
    "source": "Where it comes from.",
    "type": "`automation.requested`.",
    "subject": "The automation.",
    "correlationid": "Your own id of the request.",
    "expirytime": "When the run is to end at the latest (RFC 3339); it can only shorten the automation's deadline.",
    "replytopic": "Where the reply goes; must be on the list of the settings.",
    "traceparent": "W3C trace context, passed on to functions and replies.",
    "tracestate": "W3C trace context, passed on to functions and replies.",
}


def describe(settings: Settings) -> Node:
    """The whole document, with the limits of these settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Automation Bridge",
            "version": "1",
            "description": "Ask for automations, look their results up by your own correlation id.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": settings.public_url or "/"}],
        "security": [{"bearer": []}] if settings.tokens else [{}],
        "paths": {
            **_requests(settings),
            **_runs(settings),
            **_catalogue(),
            **_dead_letters(settings),
            **_audit(),
            **_invocations(settings),
            **_service(),
        },
        "components": {
            "schemas": schemas(),
            "parameters": _parameters(settings),
            "headers": _headers(),
            "responses": {f"Problem{status}": _problem(status) for status in _PROBLEMS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "One of the configured tokens."},
                "invocation": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-invocation-token",
                    "description": "The token that came with the work.",
                },
            },
        },
    }


def _requests(settings: Settings) -> Node:
    answers = {
        200: _json("Run", "It ended within the wait, or this is a repeat of a run that has ended.", "Location"),
        202: _json("Run", "Accepted and durable, or a repeat of a run under way.", "Location", "Retry-After"),
    }
    batch = _json("BatchAnswer", "Of a batch: a run or a problem for each event, in its order.")
    events = {
        **answers,
        202: {**answers[202], "content": {"application/json": {"schema": {"anyOf": [reference("Run"), reference("BatchAnswer")]}}}},
    }
    events[202]["description"] += f" {batch['description']} Such an answer has neither of the headers."
    sizes = f"At most {settings.max_input_bytes:,} bytes; a batch {settings.max_batch_bytes:,}."
    parameters = ["XCorrelationId", "XDeadline", "Prefer", "Traceparent", "Tracestate"]
    return {
        "/v1/automations/{name}/requests": {
            "post": _operation(
                "submit", "Ask for an automation", answers, _ASKING, ["Name", *parameters], _body({"application/json": {}}, sizes)
            )
        },
        "/v1/events": {
            "post": _operation(
                "publish",
                "Ask by event: structured, binary (`ce-*` headers with application/json) or a batch",
                events,
                _ASKING,
                ["Prefer", *(f"ce-{name}" for name in _ATTRIBUTES)],
                _body(
                    {
                        "application/cloudevents+json": reference("Event"),
                        "application/cloudevents-batch+json": {"type": "array", "items": {"anyOf": [reference("Event"), _NO_EVENT]}},
                        "application/json": {"description": "Binary mode: the data; the attributes are in `ce-*` headers."},
                    },
                    sizes,
                ),
            )
        },
    }


def _runs(settings: Settings) -> Node:
    unfinished = _json("Run", "It has not ended.", "Retry-After")
    look = (400, 401, 404, 503)
    rerun = {
        200: _json("Run", "The new run ended within the wait.", "Location"),
        202: _json("Run", "The new run; its `rerunOf` is the old one.", "Location", "Retry-After"),
    }
    size = f"Optional: another input, at most {settings.max_input_bytes:,} bytes."
    parameters = ["CorrelationId", "XCorrelationId", "XDeadline", "Prefer", "Traceparent", "Tracestate"]
    any_json = {"application/json": {"schema": {"description": "The output as it is."}}}
    stream = {"text/event-stream": {"schema": reference("Change")}}
    return {
        "/v1/requests": {
            "get": _operation(
                "list",
                "Runs that you may read, newest first; a filtered page may be short and still have a cursor",
                {200: _json("Runs", "One page.")},
                (400, 401, 503),
                ["Status", "Automation", "Since", "Limit", "Cursor"],
            )
        },
        "/v1/requests/{correlationId}": {
            "get": _operation(
                "get", "Look a run up", {200: _json("Run", "It has ended."), 202: unfinished}, look, ["CorrelationId", "Wait"]
            ),
            "delete": _operation(
                "cancel",
                "Ask for a run to end early",
                {202: _json("Run", "Canceling.", "Retry-After")},
                (401, 403, 404, 410, 422, 503),
                ["CorrelationId"],
            ),
        },
        "/v1/requests/{correlationId}/output": {
            "get": _operation(
                "output",
                "The raw output",
                {200: {"description": "The output.", "content": any_json}, 202: unfinished},
                (*look, 409),
                ["CorrelationId", "Wait"],
            )
        },
        "/v1/requests/{correlationId}/events": {
            "get": _operation(
                "follow",
                "The run at every change until its end",
                {200: {"description": "Server-sent events.", "content": stream}},
                (401, 404, 503),
                ["CorrelationId"],
            )
        },
        "/v1/requests/{correlationId}/rerun": {
            "post": _operation("rerun", "The same again", rerun, _ASKING, parameters, _body({"application/json": {}}, size, required=False))
        },
    }


def _catalogue() -> Node:
    return {
        "/v1/automations": {"get": _operation("automations", "The catalogue", {200: _json("Automations", "All automations.")}, (401,))},
        "/v1/automations/{name}": {
            "get": _operation(
                "automation", "One automation with its input schema", {200: _json("Automation", "The automation.")}, (401, 404), ["Name"]
            )
        },
    }


def _dead_letters(settings: Settings) -> Node:
    admin = (401, 403, 503)
    edited: Node = {"type": "object", "description": "A structured CloudEvent."}
    size = f"Optional: the edited event, at most {settings.max_input_bytes:,} bytes. `***` where the original is masked means its value."
    return {
        "/v1/deadletters": {
            "get": _operation(
                "deadletters",
                "Dead letters, newest first; a page may be short and still have a cursor (role admin)",
                {200: _json("DeadLetters", "One page.")},
                (*admin, 400),
                ["Reason", "LetterAutomation", "Replayed", "ReplayOf", "WithEvent", "Limit", "Cursor"],
            )
        },
        "/v1/deadletters/{id}": {
            "get": _operation(
                "deadletter", "One dead letter (role admin)", {200: _json("DeadLetter", "The dead letter.")}, (*admin, 404), ["Id"]
            ),
            "delete": _operation(
                "discard", "Take it off the list (role admin)", {204: {"description": "Gone."}}, (*admin, 404, 409), ["Id"]
            ),
        },
        "/v1/deadletters/{id}/replay": {
            "post": _operation(
                "replay",
                "Publish its event once more, or an edited one (role admin)",
                {202: _json("DeadLetter", "Published."), 200: _json("DeadLetter", "The replay of this number had been made before.")},
                (*admin, 400, 404, 409, 413, 415, 422),
                ["Id", "Number"],
                _body({"application/cloudevents+json": edited, "application/json": edited}, size, required=False),
            )
        },
    }


def _audit() -> Node:
    summary = "The account: accepted = ended + unfinished, replies, dead letters, and every id that does not fit (role admin)"
    return {"/v1/audit": {"get": _operation("audit", summary, {200: _json("Account", "The account.")}, (400, 401, 403, 503), ["Since"])}}


def _invocations(settings: Settings) -> Node:
    state = "What the function may know."
    size = f"At most {settings.max_output_bytes:,} bytes of output."
    own: Node = {"security": [{"invocation": []}]}
    names = ["CorrelationId", "Target"]
    body = _body({"application/json": reference("Result")}, size)
    return {
        "/v1/invocations/{correlationId}/{target}": {
            "get": _operation(
                "invocation", "Is it canceled, and when is its deadline?", {200: _json("InvocationState", state)}, (401, 503), names
            )
            | own,
            "post": _operation(
                "report", "Progress, or the result", {202: _json("InvocationState", state)}, (400, 401, 413, 415, 422, 503), names, body
            )
            | own,
        }
    }


def _service() -> Node:
    text = {"text/plain": {"schema": {"type": "string"}}}
    document = {"application/json": {"schema": {"type": "object"}}}
    ready = {200: _json("Ready", "Requests can be accepted."), 503: _json("Ready", "A part is away.")}
    anybody: Node = {"security": [{}]}
    return {
        "/healthz/live": {"get": _operation("live", "Does the process run?", {200: _json("Live", "Yes.")}) | anybody},
        "/healthz/ready": {"get": _operation("ready", "Can requests be accepted?", ready) | anybody},
        "/metrics": {"get": _operation("metrics", "For Prometheus", {200: {"description": "Metrics.", "content": text}}, (401,))},
        "/openapi.json": {
            "get": _operation("openapi", "This document", {200: {"description": "OpenAPI 3.1.", "content": document}}) | anybody
        },
    }


def _operation(  # noqa: PLR0913, PLR0917 - one argument for each part of an operation
    name: str,
    summary: str,
    answers: Mapping[int, Node],
    problems: Sequence[int] = (),
    parameters: Sequence[str] = (),
    body: Node | None = None,
) -> Node:
    responses = {str(status): answer for status, answer in answers.items()}
    for status in sorted({*problems, *_EVERYWHERE} - set(answers)):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation: Node = {"operationId": name, "summary": summary, "responses": dict(sorted(responses.items()))}
    if parameters:
        operation["parameters"] = [{"$ref": f"#/components/parameters/{each}"} for each in parameters]
    return operation | ({"requestBody": body} if body else {})


def _json(schema: str, description: str, *headers: str) -> Node:
    shown: Node = {"description": description, "content": {"application/json": {"schema": reference(schema)}}}
    return shown | ({"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers}} if headers else {})


def _body(content: Mapping[str, Node], description: str, *, required: bool = True) -> Node:
    return {"required": required, "description": description, "content": {media: {"schema": schema} for media, schema in content.items()}}


def _problem(status: int) -> Node:
    meaning, codes = _PROBLEMS[status]
    headers = {401: ["WWW-Authenticate"], 405: ["Allow"], 503: ["Retry-After"]}.get(status, [])
    schema = {"allOf": [reference("Problem"), {"properties": {"code": {"enum": list(codes)}}}]}
    shown: Node = {"description": meaning, "content": {"application/problem+json": {"schema": schema}}}
    return shown | ({"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers}} if headers else {})


def _headers() -> Node:
    return {
        "Location": {"description": "Where the run is.", "schema": {"type": "string", "examples": ["/v1/requests/order-4711"]}},
        "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "integer", "minimum": 0}},
        "WWW-Authenticate": {"description": "Bearer.", "schema": {"const": "Bearer"}},
        "Allow": {"description": "The methods of the path.", "schema": {"type": "string"}},
    }


def _parameters(settings: Settings) -> Node:
    longest = int(settings.max_wait.total_seconds())
    text: Node = {"type": "string"}
    moment: Node = {"type": "string", "format": "date-time"}
    return {
        "Name": _path("name", "The automation.", text),
        "CorrelationId": _path("correlationId", "Your own id of the request.", reference("CorrelationId")),
        "Target": _path("target", "The target of the automation.", {"type": "string", "pattern": "^[a-z0-9-]{1,24}$"}),
        "Id": _path("id", "The dead letter.", text),
        "Wait": _query("wait", f"Seconds to wait for the end, {longest} at most.", {"type": "number", "minimum": 0, "default": 0}),
        "Status": _query("status", "Only runs with this status.", {"enum": [str(status) for status in Status]}),
        "Automation": _query("automation", "Only runs of this automation.", text),
        "Reason": _query("reason", "Only dead letters with this reason.", text),
        "LetterAutomation": _query("automation", "Only dead letters that name this automation.", text),
        "Replayed": _query(
            "replayed",
            "Whether their event has been published again, from this letter or from the one it came back from.",
            {"type": "boolean"},
        ),
        "ReplayOf": _query("replayOf", "Only what came back from replays of this dead letter.", text),
        "WithEvent": _query("event", "false leaves the events out.", {"type": "boolean", "default": True}),
        "Number": _query(
            "number",
            "This replay of the letter and no later one: 1 is the first. Sent twice, it is made once.",
            {"type": "integer", "minimum": 1, "maximum": 999_999},
        ),
        "Since": _query("since", "Only runs created at this time or later.", moment),
        "Limit": _query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        "Cursor": _query("cursor", "The `nextCursor` of the page before.", text),
        "XCorrelationId": _header("X-Correlation-Id", "Your own id; one is made if it is absent.", reference("CorrelationId")),
        "XDeadline": _header("X-Deadline", "When the run is to end at the latest; it can only shorten the automation's deadline.", moment),
        "Prefer": _header("Prefer", f"`wait=N`: answer with the ended run if it ends within N seconds, {longest} at most.", text),
        "Traceparent": _header("traceparent", "W3C trace context, passed on to functions and replies.", text),
        "Tracestate": _header("tracestate", "W3C trace context, passed on to functions and replies.", text),
        **{f"ce-{name}": _header(f"ce-{name}", f"Binary mode. {meaning}", text) for name, meaning in _ATTRIBUTES.items()},
    }


def _path(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "header", "description": description, "schema": schema}
