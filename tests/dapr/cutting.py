"""A cable between a client and a server on this machine: bytes go through it as they are until it is cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_CHUNK = 2**16


@dataclass
class Cable:
    """Clients connect to `port`. As long as it is cut, nobody gets through."""

    port: int = 0
    is_cut: bool = False
    _to: int = 0
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _carrying: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def laid(self, to: int) -> AsyncIterator[Cable]:
        """Leads to the port `to` of this machine until the end of the block."""
        self._to = to
        server = await asyncio.start_server(self._through, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._carrying)

    def cut(self) -> None:
        """End all connections at once."""
        for end in self._ends:
            end.transport.abort()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        with contextlib.suppress(OSError):
            if not self.is_cut:
                there, back = await asyncio.open_connection("127.0.0.1", self._to)
                await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(_CHUNK):
                    writer.write(data)
                    await writer.drain()
        finally:
            self._ends.discard(writer)
            writer.transport.abort()
