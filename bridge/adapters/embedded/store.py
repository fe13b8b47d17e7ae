"""The store of the embedded runtime: the table `state` with keys, values and etags."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import time
import zlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.transaction import Work
from bridge.errors import Conflict, Full, PortError
from bridge.ports import Stored, Write
from bridge.steadytime import SteadyTime

SCHEMA = (
    # Not WITHOUT ROWID: records of some kB would lie in overflow pages, which doubles what each save writes.
    "CREATE TABLE IF NOT EXISTS state(key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, etag TEXT NOT NULL, expires REAL)",
    "CREATE INDEX IF NOT EXISTS state_expiry ON state(expires) WHERE expires IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS openings(number INTEGER NOT NULL)",
)
_CREATE = """INSERT INTO state(key, value, etag, expires) VALUES(?, ?, ?, ?)
    ON CONFLICT(key) DO UPDATE SET value=excluded.value, etag=excluded.etag, expires=excluded.expires WHERE state.expires <= ?"""
_SAVE = "UPDATE state SET value=?, etag=?, expires=? WHERE key=? AND etag=? AND (expires IS NULL OR expires > ?)"
_GET = "SELECT value, etag FROM state WHERE key=? AND (expires IS NULL OR expires > ?)"
_GET_MANY = "SELECT key, value, etag FROM state WHERE key IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires > ?)"
_CLEAN = "DELETE FROM state WHERE key IN (SELECT key FROM state WHERE expires <= ? ORDER BY expires LIMIT ?)"
_SPOILED = "the value of {!r} is not what was stored"
_CLEAN_EVERY = 5.0  #: seconds
_CLEAN_PAUSE = 0.05  #: seconds, while there is more to clean
_CLEAN_AT_ONCE = 200  #: keys


class EmbeddedStore:
    """Implements `ports.Store`. A key whose time to live is over counts as absent and can be created again.

    An etag is made of three numbers: how often the file was opened; how many etags were made since then, so that none is ever used twice;
    and the checksum of the value, because SQLite does not notice other bytes within a value. `data_limit` is in bytes.
    """

    shared = False

    def __init__(self, database: Database, *, data_limit: int) -> None:
        self._database, self._limit, self._steady = database, data_limit, SteadyTime()
        self._opening = 0
        self._count = itertools.count(1)
        self._used = 0
        self._cleaner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Count that the file was opened, and start to delete expired keys and to give their room back. Raises Unavailable."""
        self._opening = await self._database.write(_count_opening)
        self._used = self._database.bytes_used()
        self._cleaner = asyncio.create_task(self._clean())

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key and return its etag. Raises Conflict if it exists, Full beyond `data_limit`, Unavailable."""
        return await self._write(Write(key, value, "", ttl))

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag` and return the new etag. Raises Conflict if it is not current or the key is gone, Unavailable."""
        return await self._write(Write(key, value, etag, ttl))

    async def _write(self, write: Write) -> str:
        work, etag = self.prepare(write)
        await self._database.write(work)
        return etag

    def prepare(self, write: Write) -> tuple[Work, str]:
        """The operation that makes a write within a transaction, and the new etag. Raises Full beyond `data_limit`."""
        etag = f"{self._opening:x}.{next(self._count):x}.{zlib.crc32(write.value):x}"
        if write.etag:
            return partial(_save, write.key, (write.etag, etag), write.value, write.ttl, self._earliest()), etag
        if self.is_full:
            raise Full(
                f"The data directory holds {self._used} bytes; {self._limit} are allowed.", hint="Raise data_limit or wait.", retry_after=60
            )
        self._used += len(write.value)
        return partial(_create, write.key, etag, write.value, write.ttl, self._earliest()), etag

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None if it was never stored or its time to live is over. Raises Unavailable."""
        rows = self._database.read(_GET, (key, self._earliest()))
        return self._whole(key, *rows[0]) if rows else None

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`. Raises Unavailable."""
        rows = self._database.read(_GET_MANY, (json.dumps(list(keys)), self._earliest()))
        found = {key: self._whole(key, value, etag) for key, value, etag in rows}
        return [found.get(key) for key in keys]

    @property
    def is_full(self) -> bool:
        """Whether the file has reached `data_limit`. Keys that exist can still be saved."""
        return self._used >= self._limit

    async def close(self) -> None:
        """Stop deleting expired keys."""
        if self._cleaner is not None:
            self._cleaner.cancel()

    def _earliest(self) -> float:
        """The time that decides whether a key is over. When somebody sets the clock, keys end late rather than early."""
        return min(time.time(), self._steady.now())

    def _whole(self, key: str, value: bytes, etag: str) -> Stored:
        if not _is_whole(value, etag):
            raise self._database.damaged(_SPOILED.format(key))
        return Stored(value, etag)

    async def _clean(self) -> None:
        while True:
            try:
                deleted = await self._database.write(partial(_delete_expired, self._earliest()))
                released = deleted < _CLEAN_AT_ONCE and await self._database.shrink()
                self._used = self._database.bytes_used()
                if self._database.trouble is not None:
                    await self._database.write(_touch)
            except PortError:
                deleted, released = 0, False
            await asyncio.sleep(_CLEAN_PAUSE if deleted == _CLEAN_AT_ONCE or released else _CLEAN_EVERY)


def spoiled(connection: sqlite3.Connection) -> str:
    """Which value is not what was stored; empty if all are, and in a file without the table. It reads all values."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name='state'").fetchone():
        return ""
    rows = connection.execute("SELECT key, value, etag FROM state")
    return next((_SPOILED.format(key) for key, value, etag in rows if not _is_whole(value, etag)), "")


def _is_whole(value: bytes, etag: str) -> bool:
    """Whether the value has the checksum of its etag. Etags of earlier releases have none."""
    _, _, checksum = etag.rpartition(".")
    return etag.count(".") < 2 or int(checksum, 16) == zlib.crc32(value)


def _count_opening(connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO openings SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM openings)")
    connection.execute("UPDATE openings SET number = number + 1")
    return int(connection.execute("SELECT number FROM openings").fetchone()[0])


def _touch(connection: sqlite3.Connection) -> None:
    """Write one page. When nothing else is written, this finds out that the disk has room again."""
    connection.execute("UPDATE openings SET number = number")


def _create(  # noqa: PLR0913, PLR0917 - each is a column
    key: str, etag: str, value: bytes, ttl: timedelta | None, now: float, connection: sqlite3.Connection
) -> None:
    if connection.execute(_CREATE, (key, value, etag, _end(ttl), now)).rowcount == 0:
        raise Conflict(f"The key {key!r} exists already.")


def _save(  # noqa: PLR0913, PLR0917 - each is a column
    key: str, etags: tuple[str, str], value: bytes, ttl: timedelta | None, now: float, connection: sqlite3.Connection
) -> None:
    """`etags` are the one that is replaced and the new one."""
    if connection.execute(_SAVE, (value, etags[1], _end(ttl), key, etags[0], now)).rowcount == 0:
        raise Conflict(f"The key {key!r} has changed since version {etags[0]} or is gone.")


def _delete_expired(now: float, connection: sqlite3.Connection) -> int:
    return connection.execute(_CLEAN, (now, _CLEAN_AT_ONCE)).rowcount


def _end(ttl: timedelta | None) -> float | None:
    return None if ttl is None else time.time() + ttl.total_seconds()
