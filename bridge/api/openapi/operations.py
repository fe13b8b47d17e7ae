"""One operation of a path: its parameters, its answers, and every problem that it may answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.api.openapi.node import Node, reference

_EVERYWHERE = (400, 405, 408, 421, 431, 500)


def operation(  # noqa: PLR0913, PLR0917 - one argument for each part of an operation
    name: str,
    summary: str,
    answers: Mapping[int, Node],
    problems: Sequence[int] = (),
    parameters: Sequence[str] = (),
    body: Node | None = None,
) -> Node:
    """One method of a path.

    `answers` are by status. `problems` are those beyond the ones that every operation may have. `parameters` are named as in `parameters`.
    """
    responses = {str(status): each for status, each in answers.items()}
    for status in sorted({*problems, *_EVERYWHERE} - set(answers)):
        responses[str(status)] = reference(f"Problem{status}", "responses")
    shown: Node = {"operationId": name, "summary": summary, "responses": dict(sorted(responses.items()))}
    if parameters:
        shown["parameters"] = [reference(each, "parameters") for each in parameters]
    return shown | ({"requestBody": body} if body else {})


def answer(schema: str, description: str, *headers: str) -> Node:
    """A JSON answer with this schema and these headers."""
    shown: Node = {"description": description, "content": {"application/json": {"schema": reference(schema)}}}
    return shown | ({"headers": {name: reference(name, "headers") for name in headers}} if headers else {})


def request_body(content: Mapping[str, Node], description: str, *, required: bool = True) -> Node:
    """A request body; `content` has a description for each media type."""
    return {"required": required, "description": description, "content": {media: {"schema": schema} for media, schema in content.items()}}
