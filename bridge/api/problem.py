"""Errors as HTTP answers: RFC 9457 problem+json with the extensions `code`, `hint` and `errors`."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import BridgeError, Full, Unauthorized, Unavailable, UnsupportedContentCoding

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("bridge")


def content(error: BridgeError) -> dict[str, Any]:
    """The members of the problem."""
    problem: dict[str, Any] = {
        "type": f"urn:automation-bridge:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }
    if error.hint:
        problem["hint"] = error.hint
    if error.errors:
        problem["errors"] = error.errors
    return problem


def answer(error: BridgeError) -> Response:
    """The problem as a response, with the headers that its status requires."""
    headers = {}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, UnsupportedContentCoding):
        headers["accept-encoding"] = "identity"  # RFC 9110, section 12.5.3
    return Response(to_json(content(error)), error.status, headers, MEDIA_TYPE)


async def of_bridge(_request: Request, error: Exception) -> Response:
    """The answer to a request that the bridge refuses."""
    assert isinstance(error, BridgeError)  # noqa: S101 - registered for this class only
    if isinstance(error, Full):
        _log.warning("refused work: %s", error)
    return answer(error)


async def of_routing(request: Request, error: Exception) -> Response:
    """The answer to a request for an unknown path, or with a method that the path does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    code = "".join(HTTPStatus(error.status_code).phrase.title().split())
    detail = f"{request.method} {request.url.path[:200]}: {HTTPStatus(error.status_code).phrase}."
    problem = {"type": f"urn:automation-bridge:problem:{code}", "title": HTTPStatus(error.status_code).phrase, "status": error.status_code}
    body = to_json({**problem, "code": code, "detail": detail, "hint": "GET /openapi.json lists what there is."})
    return Response(body, error.status_code, error.headers, MEDIA_TYPE)


async def of_mistake(request: Request, error: Exception) -> Response:
    """The answer after a bug in the bridge. The details are logged, but not shown to the caller."""
    _log.error("%s %r failed", request.method, request.url.path[:200], exc_info=error)
    return answer(
        BridgeError(
            "The bridge failed to answer because of an internal error.",
            hint="The log of the bridge has the details. You may send the same request again.",
        )
    )
