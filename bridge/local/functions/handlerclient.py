"""HTTP to a custom handler on the loopback interface: connections that are kept, headers to the letter, answers as they come.

A general client would add headers of its own, and refuses answers that Azure's host passes on.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools

LARGEST_ANSWER = 104_857_600  #: bytes
_HOST = "127.0.0.1"


class HandlerUnreachable(Exception):
    """Nothing listens at the port of the handler, or not any more."""


class HandlerBroke(Exception):
    """The handler closed the connection, or answered what is no HTTP."""


@dataclass(slots=True)
class HandlerAnswer:
    """What a handler answered."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((text for own, text in self.headers if own.lower() == name), "")


class HandlerClient:
    """Connections to one handler."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def ask(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes, *, chunked: bool = False
    ) -> HandlerAnswer:
        """One request and its answer. Raises HandlerUnreachable, HandlerBroke.

        It is repeated only as by .NET's HttpClient, with which Azure's host asks: once, if it has no body, and a connection that was kept
        was closed before the answer began. A handler closes such connections when it likes, even while a request is on its way.
        """
        pieces = [f"{method} {target} HTTP/1.1\r\nHost: {_HOST}:{self._port}\r\n"]
        pieces += [f"{name}: {text}\r\n" for name, text in headers]
        pieces.append("Transfer-Encoding: chunked\r\n\r\n" if chunked else "\r\n")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        data = "".join(pieces).encode("latin-1") + sent
        kept = self._kept()
        if kept is not None:
            try:
                return await self._asked(kept, data, method, headers)
            except HandlerBroke:
                if sent or kept.answered:
                    raise
        return await self._asked(await self._new(), data, method, headers)

    async def _asked(self, connection: _Connection, data: bytes, method: str, headers: Sequence[tuple[str, str]]) -> HandlerAnswer:
        try:
            answer = await connection.ask(data, method)
        except BaseException:
            connection.close()
            raise
        if connection.reusable and not _asks_to_close(headers):
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> _Connection | None:
        """A connection that was kept, and that the handler has not closed in the meantime."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and connection.is_silent:
                return connection
            connection.close()
        return None

    async def _new(self) -> _Connection:
        try:
            _, made = await asyncio.get_running_loop().create_connection(_Connection, _HOST, self._port)
        except OSError as refused:
            raise HandlerUnreachable(str(refused)) from None
        return made

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()


def _asks_to_close(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a request that was forwarded asks for the end of the connection, which the handler's answer need not repeat."""
    return any(name.lower() == "connection" and "close" in text.lower() for name, text in headers)


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[HandlerAnswer] | None = None
        self.reusable = False
        self.answered = False  #: whether anything of an answer has come

    @property
    def is_silent(self) -> bool:
        """Whether nothing waits to be read: between two requests that could only be the end of the connection."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, data: bytes, method: str) -> asyncio.Future[HandlerAnswer]:
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._body, self._size = HandlerAnswer(), list[bytes](), 0
        self._without_body = method == "HEAD"
        self._until_end = self.reusable = self.answered = False
        self._transport.write(data)
        return self._waiting

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._waiting is not None and not self._waiting.done():
                self._fail("it answered what is no HTTP")

    def connection_lost(self, _error: Exception | None) -> None:
        self.reusable = False
        if self._waiting is None or self._waiting.done():
            return
        if self._until_end:
            self._finish()
        else:
            self._fail("it closed the connection without an answer")

    def on_message_begin(self) -> None:
        self._answer, self._body, self._size = HandlerAnswer(), [], 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        named = {name.lower() for name, _ in self._answer.headers}
        self._until_end = not named & {"content-length", "transfer-encoding"}
        if self._without_body and self._answer.status >= 200:
            self._finish()

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > LARGEST_ANSWER:
            self._fail(f"it answered more than {LARGEST_ANSWER} bytes")
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._waiting is None or self._waiting.done() or 100 <= self._answer.status < 200:
            return
        self.reusable = self._parser.should_keep_alive() and not self._transport.is_closing()
        self._finish()

    def _finish(self) -> None:
        self._answer.body = b"".join(self._body)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(HandlerBroke(why))
        self._transport.abort()
