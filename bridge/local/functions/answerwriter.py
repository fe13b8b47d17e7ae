"""Writes a response to a client while an app makes it: chunked, unless the app has said how long it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.local.functions.httpmessage import HttpResponse, head_of, with_custom
from bridge.local.functions.httpstream import StreamBroken


class WritePace:
    """Whether a client reads fast enough for more to be written, and whether it is still there."""

    def __init__(self) -> None:
        self.gone = False
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        """Too much has been written that the client has not read."""
        self._free.clear()

    def go_on(self) -> None:
        """The client has read it."""
        self._free.set()

    def end(self) -> None:
        """The client is gone."""
        self.gone = True
        self._free.set()

    async def free(self) -> None:
        """Wait until more may be written. Raises StreamBroken once the client is gone."""
        if not self._free.is_set():
            await self._free.wait()
        if self.gone:
            raise StreamBroken


class AnswerWriter:
    """Implements `AnswerSink` for one request."""

    def __init__(self, transport: asyncio.Transport, pace: WritePace, *, with_body: bool, keep_alive: bool, chunks: bool) -> None:
        """`chunks` is whether the client knows chunked bodies; for one that does not, the body ends with the connection."""
        self.begun = False
        self._silent = False
        self.whole = False  #: whether all of the answer was written
        self.keep_alive = keep_alive  #: whether the connection can be used for another request afterwards
        self.custom_headers: Sequence[tuple[str, str]] = ()
        self._transport, self._pace = transport, pace
        self._with_body, self._knows_chunks = with_body, chunks
        self._chunked = False
        self._missing = 0  #: bytes of a body with a known length

    def silence(self) -> None:
        """The request is answered otherwise: what the app still says is for nobody."""
        self._silent = True

    def begin(self, status: int, headers: Sequence[tuple[str, str]], length: int | None) -> None:
        """See `AnswerSink`. Raises ValueError for what HTTP cannot carry."""
        bodiless = status < 200 or status in (204, 304)
        self._chunked = length is None and self._knows_chunks and not bodiless
        self.keep_alive = self.keep_alive and (self._knows_chunks or length is not None)
        framing = "Transfer-Encoding: chunked\r\n" if self._chunked else f"Content-Length: {length}\r\n" if length is not None else ""
        head = head_of(HttpResponse(status, with_custom(headers, self.custom_headers)), framing, keep_alive=self.keep_alive)
        self.begun, self._missing = True, length or 0
        if not self._silent and not self._transport.is_closing():
            self._transport.write(head)

    async def write(self, piece: bytes) -> None:
        """See `AnswerSink`."""
        self._missing -= len(piece)
        if not self._with_body or not piece or self._silent:
            return
        if not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
        await self._pace.free()

    def end(self, *, whole: bool) -> bool:
        """Complete the body if it is whole; returns whether the connection can go on."""
        self.whole = whole and not (self._missing > 0 and self._with_body)
        if not self.whole:
            return False
        if self._chunked and self._with_body and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
        return self.keep_alive
