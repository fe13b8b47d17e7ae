"""One connection of HTTP/2: reads frames, keeps the windows, and opens a call for each stream. Requests of HTTP/1 get a 503 with a text."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import hpack

from bridge.grpcserver import frames
from bridge.grpcserver.calls import (
    INTERNAL,
    PERMISSION_DENIED,
    UNIMPLEMENTED,
    GrpcCall,
    GrpcError,
    GrpcStream,
    Headers,
    Method,
    StreamMethod,
    UnaryCall,
)
from bridge.grpcserver.frames import MAX_FRAME, MAX_WINDOW, WINDOW, Http2Error, frame

MAX_STREAMS = 4096  #: calls under way on one connection
MAX_HEADERS = 64 * 1024  #: bytes of the headers of one call
_HTTP_1 = re.compile(rb"[A-Z]{1,10}( |$)")
_LINE = 8192  #: bytes that are waited for until the first line of such a request ends
_HANG_UP = 5.0  #: seconds after which a client of HTTP/1 must have read its answer
_log = logging.getLogger("bridge.grpc")
logging.getLogger("hpack").setLevel(logging.WARNING)  # below that it writes every header, the token of the app among them


class Server(Protocol):
    """What a connection needs of its server."""

    methods: Mapping[str, Method]
    streams: Mapping[str, StreamMethod]
    max_message: int
    to_http_1: str
    admits: Callable[[str, int], bool] | None
    connections: set[Http2Connection]


class Http2Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.max_message = server.max_message
        self._buffer = bytearray()
        self._begun = self._is_http_1 = self._is_stranger = False
        self._decoder = hpack.Decoder(max_header_list_size=MAX_HEADERS)
        self._calls: dict[int, GrpcCall] = {}
        self._last = 0  # the highest stream that the peer has opened
        self._block: tuple[int, int, bytearray] | None = None  # headers that go on in the next frame
        self.window, self._first_window = WINDOW, WINDOW
        self._received = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._by_kind: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH: self._on_push,
            frames.PING: self._on_ping,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }

    # Called by asyncio:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport of TCP has its verbs, but not its type
        self._server.connections.add(self)
        if self._server.admits is not None:
            host, port = self._transport.get_extra_info("peername")[:2]
            self._is_stranger = not self._server.admits(host, port)

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has gone. What runs for a unary call goes on: the peer makes it again, and finds what it has come to."""
        self._server.connections.discard(self)
        self._give_up()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._is_http_1:  # it has its answer
            return
        self._buffer += data
        try:
            self._read()
        except Http2Error as error:
            self._buffer.clear()
            self.go_away(error.code)
            self.close()

    # Called by the server and by calls:

    def go_away(self, code: int) -> None:
        """Tell the peer that no further call is taken."""
        self.write(frame(frames.GOAWAY, 0, 0, self._last.to_bytes(4, "big") + code.to_bytes(4, "big")))

    def close(self) -> None:
        """Hang up once everything is written."""
        self._transport.close()
        self._give_up()

    def write(self, data: bytes) -> None:
        """Send frames, unless nobody is there."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def begin(self, call: GrpcCall) -> None:
        """Run what answers the call."""
        task = asyncio.get_running_loop().create_task(self._run(call))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def forget(self, call: GrpcCall) -> None:
        """The call is over."""
        self._calls.pop(call.stream, None)

    def _give_up(self) -> None:
        for call in self._calls.values():
            call.gone()
        self._calls.clear()

    # From bytes to frames, and from a frame to its call:

    def _begin_http_2(self) -> None:
        self._begun = True
        settings = {3: MAX_STREAMS, 4: self.max_message + MAX_FRAME, 6: MAX_HEADERS}
        payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings.items())
        self.write(frame(frames.SETTINGS, 0, 0, payload) + frames.window_update(0, MAX_WINDOW - WINDOW))

    def _read(self) -> None:
        buffer, place = self._buffer, 0
        if not self._begun:
            if not frames.PREFACE.startswith(buffer[: len(frames.PREFACE)]):
                self._refuse()
                return
            if len(buffer) < len(frames.PREFACE):
                return
            self._begin_http_2()
            place = len(frames.PREFACE)
        end = len(buffer)
        while end - place >= 9:
            length = int.from_bytes(buffer[place : place + 3], "big")
            if length > MAX_FRAME:
                raise Http2Error(frames.FRAME_SIZE_ERROR)
            if end - place - 9 < length:
                break
            kind, flags = buffer[place + 3], buffer[place + 4]
            stream = int.from_bytes(buffer[place + 5 : place + 9], "big") & MAX_WINDOW
            payload = bytes(buffer[place + 9 : place + 9 + length])
            place += 9 + length
            self._take(kind, flags, stream, payload)
        del buffer[:place]

    def _refuse(self) -> None:
        """Answer a request of HTTP/1 with 503. A connection that only ended could make its sender take the request for done."""
        if not _HTTP_1.match(self._buffer):
            raise Http2Error(frames.PROTOCOL_ERROR)
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
        if self._block is not None and (kind != frames.CONTINUATION or stream != self._block[0]):
            raise Http2Error(frames.PROTOCOL_ERROR)
        # PRIORITY, GOAWAY and what the RFC does not know need no answer.
        if (handle := self._by_kind.get(kind)) is not None:
            handle(flags, stream, payload)

    def _on_ping(self, flags: int, _stream: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self.write(frame(frames.PING, frames.ACK, 0, payload))

    def _on_reset(self, _flags: int, stream: int, _payload: bytes) -> None:
        if (call := self._calls.pop(stream, None)) is not None:
            call.gone()

    def _on_push(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise Http2Error(frames.PROTOCOL_ERROR)  # clients push nothing

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = frames.unpadded(flags, payload)
        if flags & frames.PRIORITY:
            block = block[5:]
        if flags & frames.END_HEADERS:
            self._open(stream, flags, block)
        else:
            self._block = (stream, flags, bytearray(block))

    def _on_continuation(self, flags: int, _stream: int, payload: bytes) -> None:
        if self._block is None:
            raise Http2Error(frames.PROTOCOL_ERROR)
        stream, first_flags, block = self._block
        block += payload
        if len(block) > MAX_HEADERS:
            raise Http2Error(frames.PROTOCOL_ERROR)
        if flags & frames.END_HEADERS:
            self._block = None
            self._open(stream, first_flags, bytes(block))

    def _open(self, stream: int, flags: int, block: bytes) -> None:
        try:
            headers: Headers = [(_text(name), _text(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.HPACKError:
            raise Http2Error(frames.COMPRESSION_ERROR) from None
        if stream % 2 == 0 or stream <= self._last or len(self._calls) >= MAX_STREAMS:
            raise Http2Error(frames.PROTOCOL_ERROR)  # trailers of a client too: gRPC has none
        self._last = stream
        path = next((value for name, value in headers if name == ":path"), "")
        kind = GrpcStream if path in self._server.streams else UnaryCall
        self._calls[stream] = call = kind(self, stream, path, headers, self._first_window)
        if self._is_stranger:
            call.fail(PERMISSION_DENIED, "this port is for a process of another user")
            return
        if isinstance(call, GrpcStream):
            self.begin(call)
        if flags & frames.END_STREAM:
            call.ended()

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= frames.REPLENISH:
            self.write(frames.window_update(0, self._received))
            self._received = 0
        call = self._calls.get(stream)
        if call is None:  # the peer has cancelled it, or did not know yet that it is over
            if stream > self._last:
                raise Http2Error(frames.PROTOCOL_ERROR)
            return
        call.take(frames.unpadded(flags, payload))
        if flags & frames.END_STREAM and stream in self._calls:
            call.ended()

    async def _run(self, call: GrpcCall) -> None:
        try:
            if isinstance(call, GrpcStream):
                await self._server.streams[call.path](call)
                self._finish(call, lambda: call.end(frames.SUCCESS))
            elif isinstance(call, UnaryCall):
                answer = await self._answered(call)
                self._finish(call, lambda: call.answer(answer))
        except GrpcError as error:
            status, message = error.status, error.message
            self._finish(call, lambda: call.fail(status, message))
        except Exception:  # noqa: BLE001 - the caller must hear of it, whatever it is
            _log.exception("a call of %s failed", call.path)
            self._finish(call, lambda: call.fail(INTERNAL, "The call failed."))

    async def _answered(self, call: UnaryCall) -> bytes:
        method = self._server.methods.get(call.path)
        if method is None:
            raise GrpcError(UNIMPLEMENTED, "There is no such method.")
        return await method(call.message(), call.headers)

    def _finish(self, call: GrpcCall, end: Callable[[], None]) -> None:
        """End a call that the peer has not given up."""
        if self._calls.get(call.stream) is call:
            end()

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(frames.FRAME_SIZE_ERROR)
        more = int.from_bytes(payload, "big") & MAX_WINDOW
        if stream == 0:
            self.window += more
            if self.window > MAX_WINDOW:
                raise Http2Error(frames.FLOW_CONTROL_ERROR)
        elif (call := self._calls.get(stream)) is not None:
            call.window += more
        for call in list(self._calls.values()):
            call.flush()

    def _on_settings(self, flags: int, _stream: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        if len(payload) % 6:
            raise Http2Error(frames.FRAME_SIZE_ERROR)
        for place in range(0, len(payload), 6):
            if int.from_bytes(payload[place : place + 2], "big") == 4:  # the window of each stream
                window = int.from_bytes(payload[place + 2 : place + 6], "big")
                for call in self._calls.values():
                    call.window += window - self._first_window
                self._first_window = window
        self.write(frame(frames.SETTINGS, frames.ACK, 0, b""))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
