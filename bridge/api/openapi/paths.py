"""Every path with its operations."""

from __future__ import annotations

from bridge.api.openapi.node import Node, reference
from bridge.api.openapi.operations import answer, operation, request_body
from bridge.api.openapi.parameters import ATTRIBUTES
from bridge.settings import Settings

_ASKING = (400, 401, 403, 404, 409, 413, 415, 422, 503)
_SENDER = "WebHookRequestOrigin"
_NO_EVENT: Node = {"description": "Anything else: a problem takes its place in the answer."}


def paths(settings: Settings) -> Node:
    """All paths, with the limits from the settings."""
    return {
        **_requests(settings),
        **_runs(settings),
        **_catalogue(),
        **_dead_letters(settings),
        **_audit(),
        **_invocations(settings),
        **_service(),
    }


def _requests(settings: Settings) -> Node:
    answers = {
        200: answer("Run", "It ended within the wait, or this is a repeat of a run that has ended.", "Location"),
        202: answer("Run", "Accepted and durable, or a repeat of a run under way.", "Location", "Retry-After"),
    }
    batch = answer("BatchAnswer", "Of a batch: a run or a problem for each event, in its order.")
    events = {
        **answers,
        202: {**answers[202], "content": {"application/json": {"schema": {"anyOf": [reference("Run"), reference("BatchAnswer")]}}}},
    }
    events[202]["description"] += f" {batch['description']} Such an answer has neither of the headers."
    sizes = f"At most {settings.max_input_bytes:,} bytes; a batch {settings.max_batch_bytes:,}."
    parameters = ["XCorrelationId", "XDeadline", "Prefer", "Traceparent", "Tracestate"]
    granted = {name: reference(name, "headers") for name in ("Allow", "WebHook-Allowed-Origin", "WebHook-Allowed-Rate")}
    consent: Node = {"description": "They are; without the question the methods of the path.", "headers": granted}
    return {
        "/v1/automations/{name}/requests": {
            "post": operation(
                "submit", "Request an automation", answers, _ASKING, ["Name", *parameters], request_body({"application/json": {}}, sizes)
            )
        },
        "/v1/events": {
            "post": operation(
                "publish",
                "Ask by event: structured, binary (`ce-*` headers with application/json) or a batch",
                events,
                _ASKING,
                ["Prefer", "Traceparent", "Tracestate", *(f"ce-{name}" for name in ATTRIBUTES)],
                request_body(
                    {
                        "application/cloudevents+json": reference("Event"),
                        "application/cloudevents-batch+json": {"type": "array", "items": {"anyOf": [reference("Event"), _NO_EVENT]}},
                        "application/json": {"description": "Binary mode: the data; the attributes are in `ce-*` headers."},
                    },
                    sizes,
                ),
            ),
            "options": operation("handshake", "Event Grid's question whether events are expected here", {200: consent}, (), [_SENDER])
            | {"security": [{}]},
        },
    }


def _runs(settings: Settings) -> Node:
    unfinished = answer("Run", "It has not ended.", "Retry-After")
    look = (400, 401, 404, 503)
    rerun = {
        200: answer("Run", "The new run ended within the wait.", "Location"),
        202: answer("Run", "The new run; its `rerunOf` is the old one.", "Location", "Retry-After"),
    }
    size = f"Optional: another input, at most {settings.max_input_bytes:,} bytes."
    parameters = ["CorrelationId", "XCorrelationId", "XDeadline", "Prefer", "Traceparent", "Tracestate"]
    any_json = {"application/json": {"schema": {"description": "The output as it is."}}}
    over = "It has ended, and the client has seen the end: an EventSource does not come back."
    stream = {"text/event-stream": {"schema": reference("Change")}}
    return {
        "/v1/requests": {
            "get": operation(
                "list",
                "Runs that you may read, newest first; a filtered page may be short and still have a cursor",
                {200: answer("Runs", "One page.")},
                (400, 401, 503),
                ["Status", "Automation", "Since", "Limit", "Cursor"],
            )
        },
        "/v1/requests/{correlationId}": {
            "get": operation(
                "get", "Look up a run", {200: answer("Run", "It has ended."), 202: unfinished}, look, ["CorrelationId", "Wait"]
            ),
            "delete": operation(
                "cancel",
                "Ask for a run to end early",
                {202: answer("Run", "Canceling.", "Retry-After")},
                (401, 403, 404, 410, 422, 503),
                ["CorrelationId"],
            ),
        },
        "/v1/requests/{correlationId}/output": {
            "get": operation(
                "output",
                "The raw output",
                {200: {"description": "The output.", "content": any_json}, 202: unfinished},
                (*look, 409),
                ["CorrelationId", "Wait"],
            )
        },
        "/v1/requests/{correlationId}/events": {
            "get": operation(
                "follow",
                "The run at every change until its end",
                {200: {"description": "Server-sent events.", "content": stream}, 204: {"description": over}},
                (401, 404, 503),
                ["CorrelationId", "LastEventId"],
            )
        },
        "/v1/requests/{correlationId}/rerun": {
            "post": operation(
                "rerun", "The same again", rerun, _ASKING, parameters, request_body({"application/json": {}}, size, required=False)
            )
        },
    }


def _catalogue() -> Node:
    summary = "The catalogue, the policies of function calls and the settings that are no secret (role admin)"
    return {
        "/v1/automations": {"get": operation("automations", "The catalogue", {200: answer("Automations", "All automations.")}, (401,))},
        "/v1/automations/{name}": {
            "get": operation(
                "automation", "One automation with its input schema", {200: answer("Automation", "The automation.")}, (401, 404), ["Name"]
            )
        },
        "/v1/configuration": {
            "get": operation("configuration", summary, {200: answer("Configuration", "As the bridge was started with.")}, (401, 403))
        },
    }


def _dead_letters(settings: Settings) -> Node:
    admin = (401, 403, 503)
    edited: Node = {"type": "object", "description": "A structured CloudEvent."}
    size = f"Optional: the edited event, at most {settings.max_input_bytes:,} bytes. `***` where the original is masked means its value."
    return {
        "/v1/deadletters": {
            "get": operation(
                "deadletters",
                "Dead letters of bridge and broker; a page may be short and still have a cursor (role admin)",
                {200: answer("DeadLetters", "One page.")},
                (*admin, 400),
                ["Reason", "LetterAutomation", "Replayed", "ReplayOf", "Entity", "Text", "Before", "WithEvent", "Limit", "Cursor"],
            )
        },
        "/v1/deadletters/{id}": {
            "get": operation(
                "deadletter", "One dead letter (role admin)", {200: answer("DeadLetter", "The dead letter.")}, (*admin, 404), ["Id"]
            ),
            "delete": operation(
                "discard", "Take it off the list (role admin)", {204: {"description": "Gone."}}, (*admin, 404, 409), ["Id"]
            ),
        },
        "/v1/deadletters/{id}/replay": {
            "post": operation(
                "replay",
                "Publish its event once more, or an edited one (role admin)",
                {202: answer("DeadLetter", "Published."), 200: answer("DeadLetter", "The replay of this number had been made before.")},
                (*admin, 400, 404, 409, 413, 415, 422),
                ["Id", "Number"],
                request_body({"application/cloudevents+json": edited, "application/json": edited}, size, required=False),
            )
        },
    }


def _audit() -> Node:
    summary = "The audit report: accepted = ended + unfinished, replies, dead letters, and every id that does not fit (role admin)"
    return {"/v1/audit": {"get": operation("audit", summary, {200: answer("Account", "The report.")}, (400, 401, 403, 503), ["Since"])}}


def _invocations(settings: Settings) -> Node:
    state = "What the function may know."
    size = f"At most {settings.max_output_bytes:,} bytes of output."
    own: Node = {"security": [{"invocation": []}]}
    names = ["CorrelationId", "Target"]
    body = request_body({"application/json": reference("Result")}, size)
    return {
        "/v1/invocations/{correlationId}/{target}": {
            "get": operation(
                "invocation", "Is it canceled, and when is its deadline?", {200: answer("InvocationState", state)}, (401, 503), names
            )
            | own,
            "post": operation(
                "report", "Progress, or the result", {202: answer("InvocationState", state)}, (400, 401, 413, 415, 422, 503), names, body
            )
            | own,
        }
    }


def _service() -> Node:
    text = {"text/plain": {"schema": {"type": "string"}}}
    document = {"application/json": {"schema": {"type": "object"}}}
    ready = {200: answer("Ready", "Requests can be accepted."), 503: answer("Ready", "A component is down.")}
    anybody: Node = {"security": [{}]}
    return {
        "/healthz/live": {"get": operation("live", "Does the process run?", {200: answer("Live", "Yes.")}) | anybody},
        "/healthz/ready": {"get": operation("ready", "Can requests be accepted?", ready) | anybody},
        "/metrics": {"get": operation("metrics", "For Prometheus", {200: {"description": "Metrics.", "content": text}}, (401,))},
        "/openapi.json": {
            "get": operation("openapi", "This document", {200: {"description": "OpenAPI 3.1.", "content": document}}) | anybody
        },
    }
