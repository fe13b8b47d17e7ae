"""Limits for one HTTP connection: how much a client may send before its request is complete, and how long it may take.

uvicorn's parser accepts request heads of any length at any pace, and any number of requests ahead of their answers. The limits apply before
a token is checked, so they bound what an unknown client can cost.

The base class is not public API of uvicorn, so pyproject.toml pins the versions it is known in. uvicorn's public settings have no such
limits: `h11_max_incomplete_event_size` is for its slower parser only, `timeout_keep_alive` ends with the first byte of a request, and
`limit_concurrency` counts all clients together. A protocol around uvicorn's would have to parse every request a second time.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.api import problem
from bridge.api.guard import AUTHORITY, HeadersTooLarge
from bridge.errors import Malformed, Refusal

MAX_HEAD = 64 * 1024  #: bytes that may arrive without completing a head or adding to a body; the first read of a head is not counted
PATIENCE = 60.0  #: seconds from the first byte of a request, or from connecting, to its last byte
_END_OF_AUTHORITY = re.compile(rb"[/?#]")
MAX_AHEAD = 100  #: requests that may be sent before their turn (HTTP pipelining)


class _TooSlow(Refusal):
    """The request did not arrive in time."""

    code: ClassVar[str] = "RequestTimeout"
    status: ClassVar[int] = 408


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits. When a client exceeds one, it is sent a problem and the connection is closed.

    If an earlier request still waits for its answer, the connection is closed without the problem.
    """

    _quiet = 0  # bytes since a request began or a chunk of a body arrived
    _moved = _whole = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, then check the limits."""
        self._moved = self._whole = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._quiet = 0 if self._moved else self._quiet + len(data)
        if self._quiet > MAX_HEAD:
            self._refuse(HeadersTooLarge(f"The head of the request has more than {MAX_HEAD:,} bytes."))
        elif len(self.pipeline) > MAX_AHEAD:
            self.transport.close()
        elif self._whole:
            self._rest()
        elif self._timer is None:
            self._expect()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._moved, self._whole = True, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete. Trailers behind the body are dropped, because no proxy on the way has checked them."""
        if self.url[:1] != b"/":
            self._shorten_target()
        super().on_headers_complete()
        self.headers = []

    def _shorten_target(self) -> None:
        """Convert an absolute-form target (RFC 9112, section 3.2.2), which clients send to proxies, to the origin-form that uvicorn reads.

        The guard checks host and port later. Raises ValueError, which ends in a 400, for any scheme other than HTTP's.
        """
        scheme, separator, rest = self.url.partition(b"://")
        if not separator:
            return
        if scheme.lower() not in {b"http", b"https"}:
            raise ValueError("the request target is not an HTTP URL")
        authority = _END_OF_AUTHORITY.split(rest, 1)[0]
        self.scope["state"][AUTHORITY] = authority
        target = rest[len(authority) :]
        self.url = target if target.startswith(b"/") else b"/" + target

    def on_body(self, body: bytes) -> None:
        """A chunk of the body arrived."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._moved = self._whole = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP."""
        self._refuse(Malformed(msg, hint="Send HTTP/1.1 (RFC 9112)."))

    def _expect(self) -> None:
        self._timer = self.loop.call_later(PATIENCE, self._give_up)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._at_fault():
            self._refuse(_TooSlow(f"The request was not complete after {PATIENCE:g} s."))
        else:
            self._expect()

    def _refuse(self, refusal: Refusal) -> None:
        if self._at_fault():
            self.transport.write(_written(refusal))
        self.transport.close()

    def _at_fault(self) -> bool:
        """Whether the incoming request is the next to be answered, and its answer has not begun."""
        cycle = self.cycle
        return not self.pipeline and (cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started))


def _written(refusal: Refusal) -> bytes:
    answer = problem.answer(refusal)
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])
