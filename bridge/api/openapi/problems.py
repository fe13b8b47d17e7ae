"""The problems that the API answers with: status, meaning and codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.api.openapi.node import Node, reference

#: Status of a problem: what it means, and the codes that come with it.
PROBLEMS: Mapping[int, tuple[str, Sequence[str]]] = {
    400: ("The request does not follow the contract.", ["Malformed", "InvalidCorrelationId"]),
    401: ("No valid token came with the request.", ["Unauthorized"]),
    403: ("The caller's roles do not allow this.", ["Forbidden"]),
    404: ("It does not exist, or the caller may not see it.", ["NotFound", "UnknownAutomation"]),
    405: ("The path has no such method.", ["MethodNotAllowed"]),
    408: ("The request was not complete in time.", ["RequestTimeout"]),
    409: (
        "The correlation id belongs to another request, the run has no output, somebody else was faster, or a deadline has passed.",
        ["CorrelationConflict", "NoOutput", "ChangedMeanwhile", "BeingReplayed", "NotReplayable"],
    ),
    410: ("The run has already ended.", ["AlreadyEnded"]),
    413: ("The body is too large.", ["TooLarge"]),
    415: ("This content type is not accepted.", ["UnsupportedMediaType"]),
    421: ("Without tokens the API answers under its loopback names only, and to no page of another origin.", ["WrongHost"]),
    422: (
        "The input does not fit, or the deadline or reply topic cannot be used.",
        ["InvalidInput", "InputTooComplex", "DeadlinePassed", "ReplyTopicNotAllowed", "Undeliverable"],
    ),
    431: ("The headers are too large.", ["HeadersTooLarge"]),
    500: ("A mistake of the bridge; its log says more.", ["InternalError"]),
    503: ("It could not be made durable, or there is no room.", ["Unavailable", "Full"]),
}


def problem(status: int) -> Node:
    """The answer with this status."""
    meaning, codes = PROBLEMS[status]
    headers = {401: ["WWW-Authenticate"], 405: ["Allow"], 415: ["Accept-Encoding"], 503: ["Retry-After"]}.get(status, [])
    schema = {"allOf": [reference("Problem"), {"properties": {"code": {"enum": list(codes)}}}]}
    shown: Node = {"description": meaning, "content": {"application/problem+json": {"schema": schema}}}
    return shown | ({"headers": {name: reference(name, "headers") for name in headers}} if headers else {})
