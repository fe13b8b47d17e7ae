"""One HTTP connection: what a client may make the bridge keep, and for how long, before a request is whole.

uvicorn's parser takes heads of any length at any pace, and any number of requests ahead of their answers. These bounds hold before a token
is looked at, so they are what an unknown client can cost.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge import problem
from bridge.errors import Malformed, Refusal
from bridge.guard import HeadersTooLarge

MAX_HEAD = 64 * 1024  #: bytes that may come without completing a head or adding to a body; the first read of a head is not counted
PATIENCE = 60.0  #: seconds from the first byte of a request, or from connecting, to its last byte
MAX_AHEAD = 100  #: requests that may be sent before their turn (HTTP pipelining)


class _TooSlow(Refusal):
    """The request did not come in time."""

    code: ClassVar[str] = "RequestTimeout"
    status: ClassVar[int] = 408


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds. Past one it answers with a problem, where no other answer is due first, and closes."""

    _quiet = 0  # bytes since a request began or a part of a body came
    _moved = _whole = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect a request."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, then look at what the client has reached so far."""
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
        """The head is whole. What comes as trailers later is no part of it, for nobody on the way has looked at that."""
        super().on_headers_complete()
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._moved = self._whole = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
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
            self._refuse(_TooSlow(f"The request was not whole after {PATIENCE:g} s."))
        else:
            self._expect()

    def _refuse(self, refusal: Refusal) -> None:
        if self._at_fault():
            self.transport.write(_written(refusal))
        self.transport.close()

    def _at_fault(self) -> bool:
        """Whether the request that comes in is the one to be answered next, and nothing has been said yet."""
        cycle = self.cycle
        return not self.pipeline and (cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started))


def _written(refusal: Refusal) -> bytes:
    answer = problem.answer(refusal)
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])
