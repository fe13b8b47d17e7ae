"""Writes answers: JSON, a run with its status, a page of a list, and a run in a stream of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from bridge.events import iso
from bridge.run import Run, Status
from bridge.runview import WaitingFor, view_json

_JSON = "application/json"


def value(content: Any, status: int = 200) -> Response:
    """`content` as JSON."""
    return written(to_json(content), status)


def written(content: bytes | str, status: int = 200) -> Response:
    """An answer whose content is JSON already."""
    return Response(content, status, media_type=_JSON)


def run(shown: Run, status: int, headers: Mapping[str, str] | None = None, waiting_for: WaitingFor | None = None) -> Response:
    """A run. If it has not ended, the answer says when to ask again."""
    pause = {} if shown.status.final else {"retry-after": "1"}
    return Response(view_json(shown, waiting_for=waiting_for), status, {**(headers or {}), **pause}, _JSON)


def items(each: list[bytes], cursor: str = "", status: int = 200, *, missing: Sequence[Mapping[str, str]] = ()) -> Response:
    """A page of a list. `cursor` leads to the next page, if there is one. `missing` names what could not be listed."""
    following = b',"nextCursor":' + to_json(cursor) if cursor else b""
    lacking = b',"missing":' + to_json(missing) if missing else b""
    return written(b'{"items":[' + b",".join(each) + b"]" + following + lacking + b"}", status)


def sent(shown: Run, waiting_for: WaitingFor | None = None) -> bytes:
    """A run as a server-sent event. A browser that lost the connection sends the event's `id` back as `Last-Event-ID`."""
    event_id, view = f"{iso(shown.updated_at)}/{shown.status}", view_json(shown, waiting_for=waiting_for)
    return b"event: run\nid: %b\ndata: %b\n\n" % (event_id.encode(), view)


def missed_the_end(last_event_id: str) -> bool:
    """Whether a client with this last event id has not seen the end of its run."""
    status = last_event_id.rpartition("/")[2]
    return status in {str(each) for each in Status if not each.final}
