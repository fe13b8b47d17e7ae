"""Reads requests: the body, the caller, the headers and the query. Every error says what would be accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request

from bridge.api import preferences
from bridge.auth import Caller
from bridge.cloudevents import LARGE, timestamp, tracecontext
from bridge.errors import Malformed, TooLarge, UnsupportedContentCoding, UnsupportedMediaType
from bridge.events import Submission
from bridge.jsontext import require_utf_8

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json(?:\s*;.*)?", re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?")
_MAX_LIST = 200
SPAN = "bridge.span"  #: under this name the scope of ASGI has the trace context of a request's own span, if it has one


async def body(request: Request, limit: int) -> bytes:
    """The body, of which at most `limit` bytes are read. Raises TooLarge, Malformed, and UnsupportedMediaType for a content coding."""
    _require_uncoded(request)
    announced = request.headers.get("content-length", "0")
    if len(announced) > 15 or (announced.isdecimal() and int(announced) > limit):
        raise _too_large(limit)
    parts, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Malformed("The client disconnected before the body was complete.")
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes.", hint="Store the data elsewhere and send a reference to it.")


def _require_uncoded(request: Request) -> None:
    codings = ", ".join(request.headers.getlist("content-encoding"))
    if codings and codings.lower() != "identity":
        raise UnsupportedContentCoding(f"The content coding {codings[:100]!r} is not accepted.")


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType unless the body is declared as JSON in UTF-8."""
    content_type = request.headers.get("content-type", "")
    if not _JSON.fullmatch(content_type):
        raise UnsupportedMediaType(f"{content_type[:100] or 'No content type'} is not accepted.", hint="Send application/json.")
    require_utf_8(content_type)


def caller(request: Request) -> Caller:
    """The caller that the guard has authenticated."""
    known: Caller = request.state.caller
    return known


def submission(request: Request, name: str, value: tuple[Any, bytes]) -> Submission:
    """The request for an automation. `value` is its input, parsed and as JSON; the headers contain the rest. Raises Malformed.

    A large input is passed on as JSON only.
    """
    traceparent, tracestate = trace(request)
    return Submission(
        automation=name,
        input=value[0] if len(value[1]) <= LARGE else None,
        input_json=value[1],
        correlation_id=_said(request, "x-correlation-id"),
        deadline=_said(request, "x-deadline"),
        traceparent=traceparent,
        tracestate=tracestate,
    )


def trace(request: Request) -> tuple[str, str]:
    """The trace context of the request: that of its span if it has one, or else that of its caller."""
    span: tuple[str, str] | None = request.scope.get(SPAN)
    return span if span is not None else caller_trace(request.scope["headers"])


def caller_trace(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The trace context in the headers of an ASGI request, whose names are in lower case; empty if it is not valid.

    Several lines of `tracestate` form one list. If there are several lines of `traceparent`, the request has no trace context.
    """
    parents = [value for name, value in headers if name == b"traceparent"]
    if len(parents) != 1:
        return "", ""
    states = ",".join(value.decode("latin-1") for name, value in headers if name == b"tracestate")
    return tracecontext.forwarded(parents[0].decode("latin-1"), states)


def _said(request: Request, header: str) -> str:
    """The value of a header, empty if it is missing.

    Raises Malformed if it is present but empty: without an id, a repeat would start twice.
    """
    value = request.headers.get(header)
    if value == "":
        raise Malformed(f"The header {header} is empty.", hint="Give it a value, or leave it out.")
    return value or ""


def wait(request: Request, most: float) -> float:
    """Seconds of the parameter `wait`, at most `most`. Raises Malformed."""
    text = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(text):
        raise Malformed(f"wait={text[:40]!r} is not a number of seconds.", hint=f"Use 0 to {most:g}.")
    return min(float(text), most)


def preferred_wait(request: Request, most: float) -> float | None:
    """Seconds of the header `Prefer: wait=` (RFC 7240, section 4.3), at most `most`; None if it is missing."""
    return preferences.wait(request.headers.getlist("prefer"), most)


def moment(request: Request, name: str) -> datetime | None:
    """The time in a parameter, None if it is missing. Raises Malformed."""
    text = request.query_params.get(name)
    if text is None:
        return None
    found = timestamp(text)
    if found is None:
        raise Malformed(f"{name}={text[:40]!r} is not an RFC 3339 time.", hint="Write it like 2026-01-31T12:00:00Z, and `+` as %2B.")
    return found


def since(request: Request) -> datetime | None:
    """The time in the parameter `since`, None if it is missing. Raises Malformed."""
    return moment(request, "since")


def limit(request: Request) -> int:
    """The number of items that the parameter `limit` asks for, by default 50. Raises Malformed."""
    text = request.query_params.get("limit", "50")
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= _MAX_LIST:
        raise Malformed(f"limit={text[:40]!r} is not a number from 1 to {_MAX_LIST}.")
    return int(text)


def choice(request: Request, name: str) -> bool | None:
    """The boolean parameter `name`, None if it is missing. Raises Malformed."""
    text = request.query_params.get(name)
    if text not in (None, "true", "false"):
        raise Malformed(f"{text[:40]!r} is neither true nor false.")
    return None if text is None else text == "true"


def number(request: Request) -> int | None:
    """The replay that the parameter `number` names, None if it is missing. Raises Malformed."""
    text = request.query_params.get("number")
    if text is not None and not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise Malformed(
            f"number={text[:40]!r} is not the number of a replay.",
            hint="Send 1 for the first replay, or leave the parameter out for the next one.",
        )
    return None if text is None else int(text)
