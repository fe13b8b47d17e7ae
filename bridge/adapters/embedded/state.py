"""The store of the embedded runtime: keys with values and versions in one table."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from bridge.adapters.embedded.database import Database
from bridge.errors import Conflict, Full, PortError
from bridge.ports import Stored

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
_CLEAN = "DELETE FROM state WHERE key IN (SELECT key FROM state WHERE expires <= ? ORDER BY expires LIMIT ?)"
_CLEAN_EVERY = 5.0  #: seconds
_CLEAN_AT_ONCE = 200  #: keys


class State:
    """Implements `ports.Store`. A key whose time to live is over is absent, and may be created again.

    An etag is the number of the opening of the file and a count since then, so none ever comes twice. `data_limit` is in bytes.
    """

    shared = False

    def __init__(self, database: Database, *, data_limit: int) -> None:
        self._database, self._limit = database, data_limit
        self._opening = 0
        self._count = itertools.count(1)
        self._used = 0
        self._cleaner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Count this opening and begin to clean up. Raises Unavailable."""
        self._opening = await self._database.write(_count_opening)
        self._used = self._database.bytes_used()
        self._cleaner = asyncio.create_task(self._clean())

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key and return its etag. Raises Conflict if it exists, Full beyond `data_limit`, Unavailable."""
        if self.is_full:
            raise Full(
                f"The data directory holds {self._used} bytes; {self._limit} are allowed.", hint="Raise data_limit or wait.", retry_after=60
            )
        etag = self._etag()
        await self._database.write(partial(_create, key, etag, value, ttl))
        self._used += len(value)
        return etag

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag` and return the new etag. Raises Conflict (also if the key is gone) or Unavailable."""
        replacing = self._etag()
        await self._database.write(partial(_save, key, (etag, replacing), value, ttl))
        return replacing

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None if it was never stored or its time to live is over. Raises Unavailable."""
        rows = self._database.read(_GET, (key, time.time()))
        return Stored(*rows[0]) if rows else None

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`. Raises Unavailable."""
        return [await self.get(key) for key in keys]

    @property
    def is_full(self) -> bool:
        """Whether the file has reached `data_limit`; what exists can still be saved."""
        return self._used >= self._limit

    async def close(self) -> None:
        """Stop cleaning up."""
        if self._cleaner is not None:
            self._cleaner.cancel()

    def _etag(self) -> str:
        return f"{self._opening:x}.{next(self._count):x}"

    async def _clean(self) -> None:
        while True:
            try:
                deleted = await self._database.write(partial(_delete_expired, time.time()))
                self._used = self._database.bytes_used()
                if self._database.trouble is not None:
                    await self._database.write(_touch)
            except PortError:
                deleted = 0
            await asyncio.sleep(0.05 if deleted == _CLEAN_AT_ONCE else _CLEAN_EVERY)


def _count_opening(connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO openings SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM openings)")
    connection.execute("UPDATE openings SET number = number + 1")
    return int(connection.execute("SELECT number FROM openings").fetchone()[0])


def _touch(connection: sqlite3.Connection) -> None:
    """Ask the disk for a page: when nobody else writes, this finds out that there is room again."""
    connection.execute("UPDATE openings SET number = number")


def _create(key: str, etag: str, value: bytes, ttl: timedelta | None, connection: sqlite3.Connection) -> None:
    now = time.time()
    if connection.execute(_CREATE, (key, value, etag, _end(now, ttl), now)).rowcount == 0:
        raise Conflict(f"The key {key!r} exists already.")


def _save(key: str, etags: tuple[str, str], value: bytes, ttl: timedelta | None, connection: sqlite3.Connection) -> None:
    """`etags`: the version that is replaced, and the one that replaces it."""
    now = time.time()
    if connection.execute(_SAVE, (value, etags[1], _end(now, ttl), key, etags[0], now)).rowcount == 0:
        raise Conflict(f"The key {key!r} has changed since version {etags[0]} or is gone.")


def _delete_expired(now: float, connection: sqlite3.Connection) -> int:
    return connection.execute(_CLEAN, (now, _CLEAN_AT_ONCE)).rowcount


def _end(now: float, ttl: timedelta | None) -> float | None:
    return None if ttl is None else now + ttl.total_seconds()
