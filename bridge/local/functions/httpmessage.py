"""HTTP requests and responses of functions, and how a response is written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from bridge.local.functions.httpstream import AnswerSink, BodyPieces
from bridge.local.functions.requesttarget import RequestTarget

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PHRASES = {each.value: each.phrase for each in HTTPStatus}
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


@dataclass(slots=True)
class HttpRequest:
    """A request without its body. Names of headers are in lower case; a name that came twice has both values, with a comma."""

    method: str
    url: str
    path: str  #: decoded, except for an encoded slash
    query: Mapping[str, str]
    headers: Mapping[str, str]
    sent_headers: Sequence[tuple[str, str]] = ()  #: as they were sent, each with its own name
    target: RequestTarget | None = None
    pieces: BodyPieces | None = None  #: its body, if it is passed on while it comes
    sink: AnswerSink | None = None  #: where the response is written, if it is passed on while it comes
    on_gone: Callable[[], None] | None = None  #: called if the caller goes away before the response


@dataclass(slots=True)
class HttpResponse:
    """What a client gets."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    streamed: bool = False  #: whether all of it was written to the sink of the request already
    early: bool = False  #: whether it is decided before the `customHeaders` of host.json count


def with_custom(headers: Sequence[tuple[str, str]], custom: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The headers of a response with the `customHeaders` of host.json that it does not have itself."""
    if not custom:
        return headers
    own = {name.lower() for name, _ in headers}
    return [*headers, *(pair for pair in custom if pair[0].lower() not in own)]


def written(response: HttpResponse, *, with_body: bool, keep_alive: bool) -> bytes:
    """The bytes of an HTTP/1.1 response; `with_body` is false for HEAD. Raises ValueError for what HTTP cannot carry."""
    bodiless = response.status < 200 or response.status in (204, 304)
    head = head_of(response, "" if bodiless else f"Content-Length: {len(response.body)}\r\n", keep_alive=keep_alive)
    return head if bodiless or not with_body else head + response.body


def head_of(response: HttpResponse, framing: str, *, keep_alive: bool) -> bytes:
    """The bytes of a head; `framing` is the line that says how its body ends. Raises ValueError for what HTTP cannot carry."""
    headers = [_header_line(name, value) for name, value in response.headers]
    last = "\r\n" if keep_alive else "Connection: close\r\n\r\n"
    return "".join([_status_line(response.status), *headers, _date_line(int(time.time())), framing, last]).encode(
        "utf-8", "surrogateescape"
    )


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    if not 100 <= status <= 999:
        raise ValueError(f"{status} is no HTTP status")
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n"


@lru_cache(maxsize=256)
def _header_line(name: str, value: str) -> str:
    """The line of a header; none for headers that belong to the connection, which are not the function's to set."""
    if name.lower() in _HOP_BY_HOP:
        return ""
    if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
        raise ValueError(f"a header {name!r} with this value cannot be sent")
    return f"{name}: {value}\r\n"


@lru_cache(maxsize=1)
def _date_line(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"
