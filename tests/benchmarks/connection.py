"""The lean HTTP/1.1 client of all HTTP rows: keep-alive connections with one exchange at a time, parsed by httptools."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a whole request. Raises ConnectionError."""
        if self._transport is None:
            raise ConnectionError("the connection is not open")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it; servers do when nothing was sent for a while."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the connection was lost ({exc or 'closed by the server'})"))

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        body = bytes(self._body)
        self._body.clear()
        if self._answer and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), body))


class Pool:
    """As many connections as there are exchanges at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[Connection] = []

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a whole request. Raises OSError."""
        connection = None
        while self._free and (connection is None or not connection.is_open):
            connection = self._free.pop()
        if connection is None or not connection.is_open:
            connection = await self._open()
        answer = await connection.exchange(request)
        self._free.append(connection)  # one that failed is not used again
        return answer

    async def _open(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        return connection
