"""How a request is read: its body, who sends it, what its headers and its query say. Every refusal says what would be taken."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request

from bridge.envelope import timestamp
from bridge.errors import Malformed, TooLarge, UnsupportedMediaType
from bridge.events import Ask
from bridge.identity import Caller

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json(?:\s*;.*)?", re.IGNORECASE)
_PREFERRED_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})")
_SECONDS = re.compile(r"\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?")
_MAX_LIST = 200


async def body(request: Request, limit: int) -> bytes:
    """The body, never more than `limit` bytes of it. Raises TooLarge, Malformed."""
    announced = request.headers.get("content-length", "0")
    parts, size = [], int(announced) if re.fullmatch(r"[0-9]{1,15}", announced) else 0
    if size <= limit:
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    break
                parts.append(part)
        except ClientDisconnect:
            raise Malformed("The client went away before the body was whole.") from None
    if size > limit:
        raise TooLarge(f"The body is larger than {limit:,} bytes.", hint="Store the data and send where it is.")
    return b"".join(parts)


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType if the body is not announced as JSON."""
    content_type = request.headers.get("content-type", "")
    if not _JSON.fullmatch(content_type):
        raise UnsupportedMediaType(f"{content_type[:100] or 'No content type'} is not taken here.", hint="Send application/json.")


def caller(request: Request) -> Caller:
    """Who the guard found the request to be from."""
    known: Caller = request.state.caller
    return known


def ask(request: Request, name: str, value: Any) -> Ask:
    """The automation asked for, with what the headers say of the run. Raises Malformed."""
    headers = request.headers
    return Ask(
        automation=name,
        input=value,
        correlation_id=_said(request, "x-correlation-id"),
        deadline=_said(request, "x-deadline"),
        traceparent=headers.get("traceparent", ""),
        tracestate=headers.get("tracestate", ""),
    )


def _said(request: Request, header: str) -> str:
    """A header's value, empty if it is absent. Raises Malformed if it is there and says nothing: a repeat under no id would start twice."""
    value = request.headers.get(header)
    if value == "":
        raise Malformed(f"The header {header} is empty.", hint="Give it a value, or leave it out.")
    return value or ""


def wait(request: Request, most: float) -> float:
    """Seconds of the parameter `wait`, `most` at the most. Raises Malformed."""
    text = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(text):
        raise Malformed(f"wait={text[:40]!r} is not a number of seconds.", hint=f"Use 0 to {most:g}.")
    return min(float(text), most)


def preferred_wait(request: Request, most: float) -> float | None:
    """Seconds of the header `Prefer: wait=` (RFC 7240, section 4.3), `most` at the most; None without it."""
    preferred = _PREFERRED_WAIT.search(request.headers.get("prefer", ""))
    return min(int(preferred[1]), most) if preferred else None


def since(request: Request) -> datetime | None:
    """The moment of the parameter `since`, None without it. Raises Malformed."""
    text = request.query_params.get("since")
    if text is None:
        return None
    moment = timestamp(text)
    if moment is None:
        raise Malformed(f"since={text[:40]!r} is not RFC 3339.", hint="Write it like 2026-01-31T12:00:00Z, and `+` as %2B.")
    return moment


def limit(request: Request) -> int:
    """How many items the parameter `limit` asks for, 50 without it. Raises Malformed."""
    text = request.query_params.get("limit", "50")
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= _MAX_LIST:
        raise Malformed(f"limit={text[:40]!r} is not a number from 1 to {_MAX_LIST}.")
    return int(text)


def choice(request: Request, name: str) -> bool | None:
    """The parameter `name` as true or false, None without it. Raises Malformed."""
    text = request.query_params.get(name)
    if text not in (None, "true", "false"):
        raise Malformed(f"{text[:40]!r} is neither true nor false.")
    return None if text is None else text == "true"


def number(request: Request) -> int | None:
    """Which replay the parameter `number` names, None without it. Raises Malformed."""
    text = request.query_params.get("number")
    if text is not None and not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise Malformed(f"number={text[:40]!r} is not the number of a replay.", hint="Send 1 for the first one, or none for the next one.")
    return None if text is None else int(text)
