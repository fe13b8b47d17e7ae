"""The queue door: how a functions host, a process of its own on this machine, takes messages from the queue and sends some.

A client reads address and token from `queue.json` in the data directory, which only this user can read, and speaks JSON lines over TCP.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bridge.adapters.embedded.doorway import Doorway, Feed
from bridge.errors import ConfigurationError

FILE = "queue.json"
HOST = "127.0.0.1"


class Door:
    """An open door: `port` is where it listens."""

    def __init__(self, bus: Feed, longest_line: int) -> None:
        self.host, self.port = HOST, 0
        self._bus, self._longest_line = bus, longest_line
        self._token = secrets.token_urlsafe(32)
        self._visits: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Feed, data_dir: Path, *, port: int, max_message: int) -> AsyncIterator[Door]:
        """Listen and write `data_dir`/queue.json. Raises ConfigurationError if the port is taken."""
        door = cls(bus, longest_line=2 * max_message + 2**20)
        try:
            server = await asyncio.start_server(door._meet, HOST, port, limit=door._longest_line)
        except OSError as fault:
            raise ConfigurationError([f"queue_port {port}: cannot listen on {HOST} ({fault.strerror}); choose another or 0."]) from None
        door.port = server.sockets[0].getsockname()[1]
        file = data_dir / FILE
        _write_private(file, json.dumps({"host": HOST, "port": door.port, "token": door._token}))
        try:
            yield door
        finally:
            file.unlink(missing_ok=True)
            server.close()
            await door._end_visits()

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine, because asyncio logs the end of one that is cancelled as an error.
        task = asyncio.create_task(self._visit(reader, writer))
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Doorway(self._bus, reader, writer, self._token).serve()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _end_visits(self) -> None:
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, in one step."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
