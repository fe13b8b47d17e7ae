"""The messages that handlers of this process have in hand, in a file that outlives the process.

A message that ends the process whenever it is handled would do so for ever: the process comes back, and so does the message. So each start
counts a crash for every message that the process before it had in hand, and a message that was in hand at `MOST` crashes becomes a dead
letter instead of being handled once more. A delivery costs two small writes to a file that is never synced: what a process wrote outlives
it, and after a power cut nothing is counted. A process that stops in an orderly way leaves no message in hand.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

FILE = "in_hand.table"
CRASHED = "CrashedProcess"  #: the reason of a dead letter that was in hand at too many crashes
MOST = 3  #: crashes after which a message is not handled again
ALONE_FROM = 2  #: crashes from which on a message is handled alone, so that the next crash does not count for its neighbours
ALONE_SECONDS = 1.0  #: how long such a message is handled before the next one like it may start, unless it ends before
SLOTS = 4_096  #: messages that the file has room for; those in hand beyond are not counted
_TABLE = "CREATE TABLE IF NOT EXISTS crashes(id INTEGER PRIMARY KEY, crashes INTEGER NOT NULL)"
_NUMBER = struct.Struct("<q")
_FREE = _NUMBER.pack(0)


if sys.platform == "win32":

    def _write_at(descriptor: int, content: bytes, place: int) -> None:
        os.lseek(descriptor, place, os.SEEK_SET)
        os.write(descriptor, content)

else:
    _write_at = os.pwrite


class InHand:
    """The file, one number of a message in each slot; 0 is a free slot. What cannot be written is not counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1  # a descriptor; none while it is negative
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._alone = asyncio.Lock()
        self.crashes: dict[int, int] = {}  #: by number of the message: at how many crashes it was in hand

    def open(self) -> list[int]:
        """Open the file. Returns the messages that the process before this one had in hand when it crashed."""
        content = b""
        with suppress(OSError):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            content = os.read(self._file, SLOTS * _NUMBER.size)
        whole = content[: len(content) // _NUMBER.size * _NUMBER.size]
        return [number for (number,) in _NUMBER.iter_unpack(whole) if number > 0]

    def begin(self, crashes: dict[int, int]) -> None:
        """Start with an empty file, because what it held has been counted."""
        self.crashes = crashes
        self._free = list(range(SLOTS))
        self._write(0, bytes(SLOTS * _NUMBER.size))

    def close(self) -> None:
        """Forget all messages and note none from now on, because the process stops in an orderly way."""
        self._write(0, bytes(SLOTS * _NUMBER.size))
        self._free.clear()
        self._slots.clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def take(self, number: int) -> None:
        """Note that a handler starts with this message."""
        if self._free:
            slot = self._slots[number] = self._free.pop()
            self._write(slot, _NUMBER.pack(number))

    def leave(self, number: int) -> None:
        """Note that the handler has ended."""
        slot = self._slots.pop(number, None)
        if slot is not None:
            self._free.append(slot)
            self._write(slot, _FREE)

    @asynccontextmanager
    async def alone(self, number: int) -> AsyncIterator[None]:
        """Wait until no other message that may have crashed the process has just been started."""
        await self._alone.acquire()
        over = asyncio.get_running_loop().call_later(ALONE_SECONDS, self._alone.release)
        try:
            yield
        finally:
            self.crashes.pop(number, None)
            if over.when() > asyncio.get_running_loop().time():
                over.cancel()
                self._alone.release()

    def _write(self, slot: int, content: bytes) -> None:
        if self._file >= 0:
            with suppress(OSError):
                _write_at(self._file, content, slot * _NUMBER.size)


def count(numbers: Sequence[int], connection: sqlite3.Connection) -> dict[int, int]:
    """Count a crash for each of these messages that is still stored. Returns how many crashes each message has, by its number."""
    connection.execute(_TABLE)
    connection.execute("DELETE FROM crashes WHERE id NOT IN (SELECT id FROM messages)")
    for number in numbers:
        connection.execute(
            "INSERT INTO crashes SELECT id, 1 FROM messages WHERE id=? ON CONFLICT(id) DO UPDATE SET crashes = crashes + 1", (number,)
        )
    return dict(connection.execute("SELECT id, crashes FROM crashes"))
