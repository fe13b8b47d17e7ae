"""How an answer is written: JSON, a run with its status, a page of a list, a run in a stream of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from bridge.run import Run, view_json

_JSON = "application/json"


def value(content: Any, status: int = 200) -> Response:
    """`content` as JSON."""
    return written(to_json(content), status)


def written(content: bytes | str, status: int = 200) -> Response:
    """What is JSON already."""
    return Response(content, status, media_type=_JSON)


def run(shown: Run, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A run; one that has not ended says when to ask again."""
    pause = {} if shown.status.final else {"retry-after": "1"}
    return Response(view_json(shown), status, {**(headers or {}), **pause}, _JSON)


def items(each: list[bytes], cursor: str = "", status: int = 200) -> Response:
    """A list of JSON values; `cursor` leads to the next page, if there is one."""
    following = b',"nextCursor":' + to_json(cursor) if cursor else b""
    return written(b'{"items":[' + b",".join(each) + b"]" + following + b"}", status)


def sent(shown: Run) -> bytes:
    """A run as one server-sent event."""
    return b"event: run\ndata: " + view_json(shown) + b"\n\n"
