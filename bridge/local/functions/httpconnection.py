"""One HTTP/1.1 connection to the functions host, parsed by httptools.

The servers of aiohttp and uvicorn make a dozen objects for each request that a function never sees, and cost three times as much. This one
bounds the head of a request, its body, and how far a client may send ahead of the answers.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from dataclasses import replace
from typing import cast

import httptools

from bridge.local.functions import requesttarget
from bridge.local.functions.answerwriter import AnswerWriter, WritePace
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse, with_custom, written
from bridge.local.functions.httpstream import BodyPieces
from bridge.local.functions.httptriggers import HttpTriggers, TriggeredFunction

LARGEST_HEAD = 32_768  #: bytes of the headers together; this and the next two are Kestrel's
LARGEST_LINE = 8_192  #: bytes of the request line
MOST_HEADERS = 100
_AROUND_TARGET = len(b"  HTTP/1.1\r\n")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(?= )")
#: Methods that the parser knows. Any other one reaches it as POST, and the function as it was sent.
_METHODS = frozenset(b"GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PURGE PROPFIND MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH".split())
LINGER = 10.0  #: seconds for which the rest of a refused body is read and dropped, so that the client gets to read the response

log = logging.getLogger("bridge.functions.http")


class _Exchange:
    """A request and its response."""

    __slots__ = ("body", "call", "keep_alive", "missing", "request", "response", "running", "size", "whole", "writer", "written")

    def __init__(self, request: HttpRequest, admitted: TriggeredFunction | HttpResponse, *, keep_alive: bool) -> None:
        self.request = request
        self.call = admitted if isinstance(admitted, TriggeredFunction) else None
        self.response = admitted if isinstance(admitted, HttpResponse) else None
        self.keep_alive = keep_alive
        self.body: list[bytes] = []
        self.size = 0  #: bytes of the body so far
        self.missing = 0  #: bytes of a body that the parser leaves alone, because the client also offers to change the protocol
        self.whole = False  #: whether all of the request has come
        self.running = self.written = False
        self.writer: AnswerWriter | None = None  #: of a request whose bodies are passed on piece by piece

    @property
    def ready(self) -> bool:
        """Whether the function can start: mostly once all of the request has come."""
        return self.whole or self.request.pieces is not None


class HttpConnection(asyncio.Protocol):
    """Reads requests, has them answered one after the other, and writes the responses in the same order."""

    def __init__(self, triggers: HttpTriggers, open_connections: set[HttpConnection]) -> None:
        self._triggers, self._open = triggers, open_connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[_Exchange] = deque()  #: not yet answered, in the order of their arrival
        self._ahead: list[bytes] = []  #: what came while a function ran
        self._last = False  #: whether no further request is read
        self._head = 0  #: bytes of a head that is not complete
        self._method = b""  #: of the request that begins, if the parser does not know it
        self._target = b""
        self._lingering: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._pace = WritePace()
        self.quiet_since = self._loop.time()  #: when the last response was written, or the connection was made

    # Called by asyncio:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests."""
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection. A function that runs goes on to its end, unless its language can be told that nobody waits for it."""
        self._open.discard(self)
        self._stop_lingering()
        self._pace.end()
        for exchange in self._exchanges:
            if exchange.request.pieces is not None:
                exchange.request.pieces.broken()
            if exchange.request.on_gone is not None:
                exchange.request.on_gone()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._pace.hold()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._pace.go_on()

    def data_received(self, data: bytes) -> None:
        """Read on. While a function runs, what comes waits for its response."""
        if self._exchanges and self._exchanges[0].whole:
            self._ahead.append(data)
            self._transport.pause_reading()
        else:
            self._feed(data)

    # Called by the server:

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._exchanges

    def close(self) -> None:
        """Close the connection once what was written has left."""
        self._transport.close()

    # Called by the parser:

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._sent_headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._unreadable = False
        self._reading_head = True

    def on_url(self, piece: bytes) -> None:
        """A piece of the request's target has come."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come, or a trailer, which is dropped."""
        if not self._reading_head:
            return
        self._header_bytes += len(name) + len(value) + 4
        written = name.decode("ascii")
        try:
            text = value.decode().strip(" \t")
        except UnicodeDecodeError:
            self._unreadable = True
            return
        self._sent_headers.append((written, text))
        key = written.lower()
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known},{text}"

    def on_headers_complete(self) -> None:
        """The head is complete, and what the request gets is decided before its body is read."""
        self._reading_head = False
        parser, headers = self._parser, self._headers
        method, self._method = self._method or parser.get_method(), b""
        upgrade = parser.should_upgrade()
        keep_alive = parser.should_keep_alive() and parser.get_http_version() == "1.1" and not upgrade
        target = requesttarget.read(self._target)
        status = self._refused(method) or (400 if target is None or (upgrade and "transfer-encoding" in headers) else 0)
        admitted: TriggeredFunction | HttpResponse = HttpResponse(status)
        request = HttpRequest(method.decode("ascii"), "", "", {}, headers)
        if target is not None and not status:
            request.url = f"http://{headers.get('host', '')}{target.relative}"
            request.path, request.query, request.target = target.path, target.query, target
            request.sent_headers = self._sent_headers
            admitted = self._triggers.admit(request)
        keep_alive = keep_alive and not status
        exchange = _Exchange(request, admitted, keep_alive=keep_alive)
        if exchange.call is not None and exchange.call.streams:
            self._pass_on(exchange, chunks=parser.get_http_version() == "1.1")
        if upgrade:  # the parser believes that another protocol follows; here the request is answered as if nothing had been offered
            exchange.missing = int(headers.get("content-length") or 0)
        if exchange.call and not self._exchanges and headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._exchanges.append(exchange)
        self._last = not keep_alive

    def _pass_on(self, exchange: _Exchange, *, chunks: bool) -> None:
        """Let the function begin before the body of its request has come, and answer before its own is complete."""
        request, keep_alive = exchange.request, exchange.keep_alive
        request.pieces = BodyPieces(self._transport.pause_reading, self._transport.resume_reading)
        exchange.writer = AnswerWriter(
            self._transport, self._pace, with_body=request.method != "HEAD", keep_alive=keep_alive, chunks=chunks
        )
        exchange.writer.custom_headers = self._triggers.custom_headers
        request.sink = exchange.writer

    def _refused(self, method: bytes) -> int:
        """The status for a head that is not taken; 0 for one that is."""
        if len(method) + len(self._target) + _AROUND_TARGET > LARGEST_LINE:
            return 414
        if self._header_bytes > LARGEST_HEAD or len(self._sent_headers) > MOST_HEADERS:
            return 431
        return 400 if self._unreadable else 0

    def on_body(self, piece: bytes) -> None:
        """A piece of the body has come."""
        exchange = self._exchanges[-1]
        if exchange.response is not None:
            return
        exchange.size += len(piece)
        pieces = exchange.request.pieces
        if exchange.size > self._triggers.largest_body:
            exchange.response, exchange.body = HttpResponse(413), []
            if pieces is not None:
                self._break_off(exchange, pieces)
        elif pieces is not None:
            pieces.add(piece)
        else:
            exchange.body.append(piece)

    @staticmethod
    def _break_off(exchange: _Exchange, pieces: BodyPieces) -> None:
        """End a call whose body is too large while it comes."""
        pieces.broken()
        pieces.drop()
        if exchange.writer is not None and not exchange.writer.begun:
            exchange.writer.silence()
        if exchange.request.on_gone is not None:
            exchange.request.on_gone()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._completed(self._exchanges[-1])

    @staticmethod
    def _completed(exchange: _Exchange) -> None:
        exchange.whole = not exchange.missing
        if exchange.whole and exchange.request.pieces is not None:
            exchange.request.pieces.end()

    # From a request to its response.

    def _feed(self, data: bytes) -> None:
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as mistake:
            _tell_once(mistake)
            self._refuse(500)
        except httptools.HttpParserError:
            self._refuse(400)
        self._proceed()

    def _parse(self, data: bytes) -> None:
        if self._last and not self._body_is_coming:
            self._take_rest(data)
            return
        try:
            self._parser.feed_data(self._with_known_method(data))
        except httptools.HttpParserUpgrade as upgrade:
            self._take_rest(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self._last:  # what follows the last request is dropped, whatever it is
                raise
        self._head = 0 if self._exchanges else self._head + len(data)
        if self._head > LARGEST_HEAD + min(len(self._target), LARGEST_LINE) + _AROUND_TARGET:
            self._refuse(431)

    def _with_known_method(self, data: bytes) -> bytes:
        """What the parser is given of a request that begins, so that any method reaches a function."""
        begins = not self._head and not self._body_is_coming
        named = _NAME.match(data) if begins else None
        if named is None or named[0] in _METHODS:
            return data
        self._method = named[0]
        return b"POST" + data[named.end() :]

    @property
    def _body_is_coming(self) -> bool:
        """Whether the parser has begun a request that is not complete."""
        return bool(self._exchanges) and not self._exchanges[-1].whole and not self._exchanges[-1].missing

    def _take_rest(self, data: bytes) -> None:
        """Take the body that the parser has left alone; anything else after the last request is dropped."""
        exchange = self._exchanges[-1] if self._exchanges else None
        if exchange is None or not exchange.missing:
            return
        piece = data[: exchange.missing]
        exchange.missing -= len(piece)
        self.on_body(piece)
        self._completed(exchange)

    def _refuse(self, status: int) -> None:
        """Answer what is no HTTP, and read no further."""
        self._last = True
        if not self._exchanges or self._exchanges[-1].whole:
            self._exchanges.append(_Exchange(HttpRequest("GET", "", "", {}, {}), HttpResponse(status), keep_alive=False))
        exchange = self._exchanges[-1]
        exchange.response = exchange.response or HttpResponse(status)
        exchange.whole, exchange.keep_alive = True, False

    def _proceed(self) -> None:
        """Write the responses that are due, and run the next function."""
        while self._exchanges:
            exchange = self._exchanges[0]
            if exchange.response is None and exchange.ready:
                if not exchange.running:
                    exchange.running = True
                    self._task = self._loop.create_task(self._run(exchange))
                return
            if exchange.response is not None and not exchange.written:
                self._write(exchange, exchange.response)
            if not exchange.whole:
                if exchange.written:
                    self._start_lingering()
                break
            self._stop_lingering()
            self._exchanges.popleft()
            if not exchange.keep_alive:
                self._transport.close()
                return
        self._read_on()

    async def _run(self, exchange: _Exchange) -> None:
        try:
            assert exchange.call is not None  # noqa: S101 - what was not admitted has its response already
            response = await self._triggers.respond(exchange.call, exchange.request, b"".join(exchange.body))
        except Exception:
            log.exception("A request failed.")
            response = HttpResponse(500)
        exchange.request.on_gone = None
        if exchange.request.pieces is not None:
            exchange.request.pieces.drop()
        exchange.response = exchange.response or response  # a body that was too large has been answered
        self._proceed()

    def _write(self, exchange: _Exchange, response: HttpResponse) -> None:
        exchange.written = True
        self.quiet_since = self._loop.time()
        if self._transport.is_closing():
            return
        if exchange.writer is not None and exchange.writer.begun:
            exchange.keep_alive = exchange.writer.end(whole=response.streamed)
            if not exchange.writer.whole:
                self._transport.close()
            return
        with_body = exchange.request.method != "HEAD"
        if self._triggers.custom_headers and not response.early:
            response = replace(response, headers=with_custom(response.headers, self._triggers.custom_headers))
        try:
            self._transport.write(written(response, with_body=with_body, keep_alive=exchange.keep_alive))
        except (TypeError, ValueError) as wrong:
            log.error("The response of %s cannot be sent: %s.", exchange.request.path, wrong)  # noqa: TRY400 - the fault is the function's
            self._transport.write(written(HttpResponse(500), with_body=with_body, keep_alive=exchange.keep_alive))

    def _read_on(self) -> None:
        """Read what came while a function ran."""
        if self._ahead and not self._transport.is_closing():
            data, self._ahead = b"".join(self._ahead), []
            self._transport.resume_reading()
            self._feed(data)

    def _start_lingering(self) -> None:
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._transport.close)

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None


_told: set[str] = set()


def _tell_once(mistake: httptools.HttpParserCallbackError) -> None:
    """Log a mistake of this host, each kind of it once: whoever reaches the port could repeat it."""
    kind = repr(type(mistake.__context__ or mistake))
    if kind not in _told:
        _told.add(kind)
        log.error("A request could not be read. This is a bug in this host, and is reported once.", exc_info=mistake)
