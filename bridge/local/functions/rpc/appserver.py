"""HTTP to the web server inside an ASP.NET Core app, with bodies that are passed on piece by piece in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import httptools

from bridge.local.functions.answerwriter import WritePace
from bridge.local.functions.httpstream import BodyPieces, StreamBroken

_LISTEN_SECONDS = 30.0  #: how long a call waits for the app to listen
_LOOK_SECONDS = 0.05
_IDLE_SECONDS = 60.0  #: after which a connection is not used again: .NET's web server closes one that was idle for 130


class AppUnreachable(Exception):
    """Nothing listens at the address that the app has named, or not any more."""


class AppConnection(asyncio.Protocol):
    """One connection to the app. It carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._pace = WritePace()
        self._whole = self._without_body = False
        self.head: asyncio.Future[int]  #: the status, once the head of the answer has come; StreamBroken if none comes
        self.headers: list[tuple[str, str]] = []  #: of the answer
        self.pieces: BodyPieces  #: the body of the answer
        self.sent = False  #: whether all of the request has been sent
        self.kept_at = 0.0  #: when its last call was over, by the clock of the loop
        self.interim = 0  #: the last status below 200 that has come instead of an answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Break off what is not complete."""
        self._pace.end()
        if hasattr(self, "head"):
            self._break()

    def pause_writing(self) -> None:
        """The app reads too slowly."""
        self._pace.hold()

    def resume_writing(self) -> None:
        """The app has read on."""
        self._pace.go_on()

    @property
    def reusable(self) -> bool:
        """Whether another request can follow."""
        return self._whole and self.sent and not self._transport.is_closing() and self._parser.should_keep_alive()

    @property
    def usable(self) -> bool:
        """Whether the connection is there."""
        return not self._transport.is_closing()

    def ask(self, method: str, head: bytes) -> None:
        """Send the head of a request."""
        self.head = asyncio.get_running_loop().create_future()
        self.headers, self.pieces = [], BodyPieces(self._transport.pause_reading, self._transport.resume_reading)
        self._parser = httptools.HttpResponseParser(self)
        self._whole, self._without_body, self.sent, self.interim = False, method == "HEAD", False, 0
        self._transport.write(head)

    async def send(self, data: bytes) -> None:
        """Send some of its body, at the pace of the app. Raises StreamBroken."""
        if not self._transport.is_closing():
            self._transport.write(data)
        await self._pace.free()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._break()
            self._transport.abort()

    def on_message_begin(self) -> None:
        """An answer begins; one with status 1xx may have come before it."""
        self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come, or a trailer, which is dropped."""
        if not self.head.done():
            self.headers.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        status = self._parser.get_status_code()
        if status < 200:
            self.interim = status
        elif not self.head.done():
            self.head.set_result(status)
            if self._without_body:
                self._end()

    def on_body(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self.pieces.add(piece)

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was one with status 1xx."""
        if self.head.done():
            self._end()

    def _end(self) -> None:
        self._whole = True
        self.pieces.end()

    def _break(self) -> None:
        if not self.head.done():
            self.head.set_exception(StreamBroken())
            self.head.exception()  # the call may have ended without it, and then nobody asks
        self.pieces.broken()


class AppServer:
    """The web server of one worker, at the address that it has named."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1", "::1") or not parts.port:
            raise ValueError(f"it wants its requests at {url!r}, which is not on this machine")
        self.host = f"localhost:{parts.port}"
        self._address = (parts.hostname, parts.port)
        self._idle: list[AppConnection] = []

    async def connection(self, gone: Callable[[], bool]) -> AppConnection:
        """A connection; the app may listen late. `gone` is whether its process has ended. Raises AppUnreachable."""
        loop = asyncio.get_running_loop()
        while self._idle:
            kept = self._idle.pop()
            if kept.usable and loop.time() - kept.kept_at < _IDLE_SECONDS:
                return kept
            kept.abort()
        until = loop.time() + _LISTEN_SECONDS
        while True:
            try:
                _, made = await loop.create_connection(AppConnection, *self._address)
            except OSError:
                if gone() or loop.time() >= until:
                    raise AppUnreachable(f"the app does not listen at {self.host} after {_LISTEN_SECONDS:.0f} s") from None
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return made

    def keep(self, connection: AppConnection) -> None:
        """Take back a connection whose call is over."""
        if connection.reusable:
            connection.kept_at = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().abort()


def head_lines(method: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The head of a request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
