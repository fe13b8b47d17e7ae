"""A gRPC server for unary calls with small answers, on asyncio's own transport: HTTP/2 without TLS, for one peer on loopback.

grpc.aio costs a Python server a completion queue, a thread and several wake-ups for each call, four times what the call itself needs here
(docs/speed.md). This module has what a client such as grpc-go uses of RFC 9113 and of gRPC over HTTP/2. Header compression is the library
`hpack`. Whatever it does not understand ends the connection: the peer then treats its calls as failed and makes them again. Requests of
HTTP/1 get a 503 with a text.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_STREAMS = 4096  #: calls under way on one connection
MAX_HEADERS = 64 * 1024  #: bytes of the headers of one call
_MAX_FRAME, _WINDOW, _MAX_WINDOW = 16384, 65535, 2**31 - 1  # what RFC 9113 has both sides begin with, and its largest window
_REPLENISH = 2**20  #: bytes received after which the peer may send as many more
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH, _PING, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 5, 6, 8, 9
_GOAWAY = 7
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_PROTOCOL_ERROR, _FLOW_CONTROL_ERROR, _FRAME_SIZE_ERROR, _COMPRESSION_ERROR = 1, 3, 6, 9
OK, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 8, 12, 13
_HTTP_1 = re.compile(rb"[A-Z]{1,10}( |$)")
_LINE = 8192  #: bytes that are waited for until the first line of such a request ends
_HANG_UP = 5.0  #: seconds after which a client of HTTP/1 must have read its answer
_log = logging.getLogger("bridge.dapr")
logging.getLogger("hpack").setLevel(logging.WARNING)  # below that it writes every header, the token of the app among them

Headers = list[tuple[str, str]]
Method = Callable[[bytes, Headers], Awaitable[bytes]]
"""Answers one message; what it raises beside GrpcError becomes INTERNAL."""


class GrpcError(Exception):
    """A call ends with this status instead of an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _Http2Error(Exception):
    """The peer did something that ends the connection with this code of RFC 9113."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that enters no table. Both parts are shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_RESPONSE = b"\x88" + _literal(b"content-type", b"application/grpc")  # 0x88 is ":status: 200"
_TRAILERS = _literal(b"grpc-status", b"0")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@dataclass(slots=True)
class _UnaryCall:
    path: str
    headers: Headers
    body: bytearray = field(default_factory=bytearray)
    window: int = _WINDOW  #: bytes that may still be sent
    answer: bytes = b""  #: what the peer's windows have held back
    is_complete: bool = False


class GrpcServer:
    """Serves `methods` by their full path, such as "/package.Service/Method", on one loopback port. `max_message` is in bytes.

    `to_http_1` is what whoever speaks HTTP/1 is told.
    """

    def __init__(self, methods: Mapping[str, Method], *, max_message: int, to_http_1: str = "") -> None:
        self.methods, self.max_message, self.to_http_1 = methods, max_message, to_http_1
        self.connections: set[_Http2Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; a free one for 0. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Http2Connection(self), host, port, backlog=128)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def stop(self, grace: float) -> None:
        """Take no new call, let those under way end for `grace` seconds, then hang up."""
        if self._server is not None:
            self._server.close()
        for each in self.connections:
            each.go_away(0)
        under_way = {task for each in self.connections for task in each.tasks}
        if under_way:
            await asyncio.wait(under_way, timeout=grace)
        for each in list(self.connections):
            each.close()


class _Http2Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: GrpcServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._begun = self._is_http_1 = False
        self._decoder = hpack.Decoder(max_header_list_size=MAX_HEADERS)
        self._calls: dict[int, _UnaryCall] = {}
        self._last = 0  # the highest stream that the peer has opened
        self._block: tuple[int, int, bytearray] | None = None  # headers that go on in the next frame
        self._window, self._first_window = _WINDOW, _WINDOW
        self._received = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._by_kind: dict[int, Callable[[int, int, bytes], None]] = {
            _DATA: self._on_data,
            _HEADERS: self._on_headers,
            _RST_STREAM: self._on_reset,
            _SETTINGS: self._on_settings,
            _PUSH: self._on_push,
            _PING: self._on_ping,
            _WINDOW_UPDATE: self._on_window_update,
            _CONTINUATION: self._on_continuation,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport of TCP has its verbs, but not its type
        self._server.connections.add(self)

    def _begin_http_2(self) -> None:
        self._begun = True
        settings = {3: MAX_STREAMS, 4: self._server.max_message + _MAX_FRAME, 6: MAX_HEADERS}
        payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings.items())
        self._transport.write(_frame(_SETTINGS, 0, 0, payload) + _frame(_WINDOW_UPDATE, 0, 0, (_MAX_WINDOW - _WINDOW).to_bytes(4, "big")))

    def connection_lost(self, _error: Exception | None) -> None:
        # What runs goes on: the peer brings its message again, and finds what it has come to.
        self._server.connections.discard(self)
        self._calls.clear()

    def data_received(self, data: bytes) -> None:
        if self._is_http_1:  # it has its answer
            return
        self._buffer += data
        try:
            self._read()
        except _Http2Error as error:
            self._buffer.clear()
            self.go_away(error.code)
            self.close()

    def go_away(self, code: int) -> None:
        """Tell the peer that no further call is taken."""
        self._transport.write(_frame(_GOAWAY, 0, 0, self._last.to_bytes(4, "big") + code.to_bytes(4, "big")))

    def close(self) -> None:
        """Hang up once everything is written."""
        self._transport.close()

    def _read(self) -> None:
        buffer, place = self._buffer, 0
        if not self._begun:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                self._refuse()
                return
            if len(buffer) < len(PREFACE):
                return
            self._begin_http_2()
            place = len(PREFACE)
        end = len(buffer)
        while end - place >= 9:
            length = int.from_bytes(buffer[place : place + 3], "big")
            if length > _MAX_FRAME:
                raise _Http2Error(_FRAME_SIZE_ERROR)
            if end - place - 9 < length:
                break
            kind, flags = buffer[place + 3], buffer[place + 4]
            stream = int.from_bytes(buffer[place + 5 : place + 9], "big") & _MAX_WINDOW
            payload = bytes(buffer[place + 9 : place + 9 + length])
            place += 9 + length
            self._take(kind, flags, stream, payload)
        del buffer[:place]

    def _refuse(self) -> None:
        """Answer a request of HTTP/1 with 503. A connection that only ended could make its sender take the request for done."""
        if not _HTTP_1.match(self._buffer):
            raise _Http2Error(_PROTOCOL_ERROR)
        if b"\n" not in self._buffer and len(self._buffer) < _LINE:
            return
        self._is_http_1 = True
        self._buffer.clear()
        text = self._server.to_http_1.encode()
        head = f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
        self._transport.write(head.encode() + text)
        # Until the client hangs up what it still sends is read: to close with something unread would take the answer back.
        asyncio.get_running_loop().call_later(_HANG_UP, self.close)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and (kind != _CONTINUATION or stream != self._block[0]):
            raise _Http2Error(_PROTOCOL_ERROR)
        # PRIORITY, GOAWAY and what the RFC does not know need no answer.
        if (handle := self._by_kind.get(kind)) is not None:
            handle(flags, stream, payload)

    def _on_ping(self, flags: int, _stream: int, payload: bytes) -> None:
        if not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))

    def _on_reset(self, _flags: int, stream: int, _payload: bytes) -> None:
        self._calls.pop(stream, None)

    def _on_push(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise _Http2Error(_PROTOCOL_ERROR)  # clients push nothing

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = _unpadded(flags, payload)
        if flags & _PRIORITY:
            block = block[5:]
        if flags & _END_HEADERS:
            self._open(stream, flags, block)
        else:
            self._block = (stream, flags, bytearray(block))

    def _on_continuation(self, flags: int, _stream: int, payload: bytes) -> None:
        if self._block is None:
            raise _Http2Error(_PROTOCOL_ERROR)
        stream, first_flags, block = self._block
        block += payload
        if len(block) > MAX_HEADERS:
            raise _Http2Error(_PROTOCOL_ERROR)
        if flags & _END_HEADERS:
            self._block = None
            self._open(stream, first_flags, bytes(block))

    def _open(self, stream: int, flags: int, block: bytes) -> None:
        try:
            headers: Headers = [(_text(name), _text(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.HPACKError:
            raise _Http2Error(_COMPRESSION_ERROR) from None
        if stream % 2 == 0 or stream <= self._last or len(self._calls) >= MAX_STREAMS:
            raise _Http2Error(_PROTOCOL_ERROR)  # trailers of a client too: gRPC has none
        self._last = stream
        path = next((value for name, value in headers if name == ":path"), "")
        self._calls[stream] = _UnaryCall(path, headers, window=self._first_window)
        if flags & _END_STREAM:
            self._begin(stream)

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= _REPLENISH:
            self._transport.write(_frame(_WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
            self._received = 0
        call = self._calls.get(stream)
        if call is None:  # the peer has cancelled it, or did not know yet that it is over
            if stream > self._last:
                raise _Http2Error(_PROTOCOL_ERROR)
            return
        call.body += _unpadded(flags, payload)
        if len(call.body) > self._server.max_message + 5:
            self._fail(stream, RESOURCE_EXHAUSTED, "The message is too large.")
        elif flags & _END_STREAM:
            self._begin(stream)

    def _begin(self, stream: int) -> None:
        task = asyncio.get_running_loop().create_task(self._run(stream, self._calls[stream]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, stream: int, call: _UnaryCall) -> None:
        try:
            answer = await self._call_method(call)
        except GrpcError as error:
            self._fail(stream, error.status, error.message)
        except Exception:  # noqa: BLE001 - the caller must hear of it, whatever it is
            _log.exception("a call of %s failed", call.path)
            self._fail(stream, INTERNAL, "The call failed.")
        else:
            self._answer(stream, b"\x00" + len(answer).to_bytes(4, "big") + answer)

    async def _call_method(self, call: _UnaryCall) -> bytes:
        method, body = self._server.methods.get(call.path), call.body
        if method is None:
            raise GrpcError(UNIMPLEMENTED, "There is no such method.")
        if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
            raise GrpcError(INTERNAL, "Expected one message that is not compressed.")
        return await method(bytes(body[5:]), call.headers)

    def _answer(self, stream: int, data: bytes) -> None:
        call = self._calls.get(stream)
        if call is None or self._transport.is_closing():
            return
        head = _frame(_HEADERS, _END_HEADERS, stream, _RESPONSE)
        if len(data) <= min(self._window, call.window, _MAX_FRAME):  # nearly always: one write
            self._window -= len(data)
            del self._calls[stream]
            end = _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _TRAILERS)
            self._transport.write(head + _frame(_DATA, 0, stream, data) + end)
            return
        self._transport.write(head)
        call.answer, call.is_complete = data, True
        self._flush(stream, call)

    def _flush(self, stream: int, call: _UnaryCall) -> None:
        """Send of an answer what the peer's windows allow."""
        while call.answer and (size := min(len(call.answer), self._window, call.window, _MAX_FRAME)) > 0:
            self._transport.write(_frame(_DATA, 0, stream, call.answer[:size]))
            call.answer = call.answer[size:]
            self._window -= size
            call.window -= size
        if not call.answer:
            del self._calls[stream]
            self._transport.write(_frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _TRAILERS))

    def _fail(self, stream: int, status: int, message: str) -> None:
        if self._calls.pop(stream, None) is None or self._transport.is_closing():
            return
        block = _RESPONSE + _literal(b"grpc-status", str(status).encode()) + _literal(b"grpc-message", message.encode())
        self._transport.write(_frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, block))

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Http2Error(_FRAME_SIZE_ERROR)
        more = int.from_bytes(payload, "big") & _MAX_WINDOW
        if stream == 0:
            self._window += more
            if self._window > _MAX_WINDOW:
                raise _Http2Error(_FLOW_CONTROL_ERROR)
        elif (call := self._calls.get(stream)) is not None:
            call.window += more
        for each, call in [(each, call) for each, call in self._calls.items() if call.is_complete]:
            self._flush(each, call)

    def _on_settings(self, flags: int, _stream: int, payload: bytes) -> None:
        if flags & _ACK:
            return
        if len(payload) % 6:
            raise _Http2Error(_FRAME_SIZE_ERROR)
        for place in range(0, len(payload), 6):
            if int.from_bytes(payload[place : place + 2], "big") == 4:  # the window of each stream
                window = int.from_bytes(payload[place + 2 : place + 6], "big")
                for call in self._calls.values():
                    call.window += window - self._first_window
                self._first_window = window
        self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise _Http2Error(_PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
