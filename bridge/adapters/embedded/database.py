"""One SQLite file, one thread that commits to it, group commit.

Whatever has gathered while the last transaction was committed becomes the next transaction, so that one fsync serves many writes and a
single write waits for none (`PRAGMA synchronous=FULL`: what is committed survives a power cut). Operations run in the order in which they
were submitted, and their outcomes are told on the event loop in that order.

Statements run on the event loop, microseconds each into memory; the commit, which waits for the disk, runs in the thread. With the
statements in the thread too, every one of them would wait for the interpreter lock of a busy loop: a third of the throughput.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from bridge.adapters.embedded import directory
from bridge.errors import ConfigurationError, Full, PortError, Unavailable

FILE = "bridge.db"
VERSION = 1  #: of the tables; a file with tables of another version is not touched
WAITING = 10_000  #: operations that may wait for the writer before more are refused
_BUSY_SECONDS = 5.0  #: how long to wait for a tool that reads or copies the file
_LOG_BYTES = 64 * 2**20  #: what is kept of the write-ahead log after it was long
_STOPPING = "The bridge is stopping; nothing more is read or stored."

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Then = Callable[[Any], None]
Operation = tuple[Work, Then]


class Database:
    """The file. `Database.open` makes one; reads are answered at once, writes when they are durable."""

    def __init__(self, path: Path, waiting: int) -> None:
        self.path = path
        self._limit = waiting
        self._waiting = 0
        self._gathered: list[Operation] = []
        self._commits: SimpleQueue[tuple[list[Work], list[Any] | None] | None] = SimpleQueue()
        self._under_way: list[Operation] = []
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._changes = 0
        self.trouble: Unavailable | None = None  #: why the disk took nothing of what was last written; None if it did
        self._reader: sqlite3.Connection
        self._writer: sqlite3.Connection

    @classmethod
    @asynccontextmanager
    async def open(cls, data_dir: Path, schema: Sequence[str], *, waiting: int = WAITING) -> AsyncIterator[Database]:
        """Open `data_dir`/bridge.db, made with the statements of `schema` if need be; closing finishes what was submitted.

        Raises ConfigurationError if the directory is in use by another process or the file cannot be used.
        """
        with directory.held(data_dir):
            database = cls(data_dir / FILE, waiting)
            database._writer = await asyncio.to_thread(_connect, database.path, schema)
            database._reader = _reader(database.path)
            threading.Thread(target=database._commit_all, name="bridge-writer", daemon=True).start()
            try:
                yield database
            finally:
                await database._close()

    def submit(self, work: Work, then: Then) -> None:
        """Queue an operation. `then` is called on the event loop with what `work` returned once that is durable, or with the error.

        `work` runs inside a transaction shared with others. It raises a PortError before it has written anything to fail alone.
        """
        if self._closing:
            self._loop.call_soon(then, Unavailable(_STOPPING))
            return
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((work, then))
        self._waiting += 1

    async def write(self, work: Callable[[sqlite3.Connection], T], committed: Callable[[T], None] | None = None) -> T:
        """Run an operation and return its result once that is durable. Raises what `work` raises, Unavailable or Full.

        `committed` is called even if the caller no longer waits.
        """
        if self._waiting >= self._limit:
            raise Full(f"{self._waiting} writes are waiting for the disk.", retry_after=1)
        future: asyncio.Future[T] = self._loop.create_future()
        self.submit(work, partial(_tell, future, committed))
        return await future

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a short look-up: it runs on the event loop, so it must use an index. Raises Unavailable."""
        if self._closing:
            raise Unavailable(_STOPPING)
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as fault:
            raise _port_error(fault) from fault

    def bytes_used(self) -> int:
        """How much of the file is in use, in bytes, without the pages that are free again."""
        pages, free, size = (self.read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def _hand_over(self) -> None:
        """Make one transaction of what has gathered, unless one is being committed: then what comes after it will be the next."""
        if self._under_way or not self._gathered:
            return
        self._under_way, self._gathered = self._gathered, []
        works = [work for work, _ in self._under_way]
        self._commits.put((works, _run(self._writer, works)))

    def _finish(self, outcomes: list[Any]) -> None:
        batch, self._under_way = self._under_way, []
        self._waiting -= len(batch)
        self._judge(outcomes)
        for (_, then), outcome in zip(batch, outcomes, strict=True):
            then(outcome)
        if self._closing and not self._gathered:
            self._commits.put(None)
        else:
            self._hand_over()

    def _judge(self, outcomes: list[Any]) -> None:
        """Learn whether the disk takes what is written. A transaction that changed nothing did not ask it."""
        changed, self._changes = self._writer.total_changes > self._changes, self._writer.total_changes
        failed = next((outcome for outcome in outcomes if isinstance(outcome, Unavailable)), None)
        if failed is not None or changed:
            self.trouble = failed

    def _commit_all(self) -> None:
        """The writer's thread. While it works on a transaction, nothing else uses the connection."""
        while (job := self._commits.get()) is not None:
            self._loop.call_soon_threadsafe(self._finish, _commit(self._writer, *job))
        self._writer.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    async def _close(self) -> None:
        self._closing = True
        if not self._under_way and not self._gathered:
            self._commits.put(None)
        await asyncio.shield(self._ended)
        self._reader.close()


def _run(connection: sqlite3.Connection, works: list[Work]) -> list[Any] | None:
    """The outcomes of all operations in one open transaction; None if one broke it, or if somebody else holds the file."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        return [_attempt(connection, work) for work in works]
    except Exception:  # noqa: BLE001 - `_commit` runs them again, each alone, and tells each its own fault
        return None


def _commit(connection: sqlite3.Connection, works: list[Work], outcomes: list[Any] | None) -> list[Any]:
    """Make it durable; what could not be done together is done again, each operation in its own transaction, so that only some fail."""
    if outcomes is not None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as fault:
            failure = _port_error(fault)
            if isinstance(failure, Unavailable):
                _roll_back(connection)
                return [failure] * len(works)
        else:
            return outcomes
    _roll_back(connection)
    return _one_by_one(connection, works)


def _one_by_one(connection: sqlite3.Connection, works: list[Work]) -> list[Any]:
    outcomes: list[Any] = []
    for work in works:
        try:
            _begin(connection)
            outcome = _attempt(connection, work)
            connection.execute("COMMIT")
        except Exception as fault:  # noqa: BLE001 - whatever broke the transaction is the outcome of who waits for it
            _roll_back(connection)
            outcome = _port_error(fault) if isinstance(fault, sqlite3.Error) else fault
        outcomes.append(outcome)
    return outcomes


def _begin(connection: sqlite3.Connection) -> None:
    """Start a transaction, waiting for a tool that holds the file; the loop never waits for one."""
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


def _attempt(connection: sqlite3.Connection, work: Work) -> Any:
    try:
        return work(connection)
    except PortError as refused:
        return refused


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite has rolled back already after some errors, a full disk among them.
    if connection.in_transaction:
        connection.rollback()


def _port_error(fault: sqlite3.Error) -> Exception:
    """Trouble with the disk is Full or Unavailable; anything else is a mistake of ours and stays what it is."""
    code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Full("The disk is full.", hint="Make room on the disk of data_dir, then send the same again.", retry_after=10)
    if code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE}:
        return fault
    return Unavailable(f"The database could not be used ({getattr(fault, 'sqlite_errorname', type(fault).__name__)}: {fault}).")


def _tell(future: asyncio.Future[T], committed: Callable[[T], None] | None, outcome: T | Exception) -> None:
    if isinstance(outcome, Exception):
        if not future.done():
            future.set_exception(outcome)
        return
    if committed is not None:
        committed(outcome)
    if not future.done():
        future.set_result(outcome)


def _connect(path: Path, schema: Sequence[str]) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with suppress(PermissionError):
            path.chmod(0o600)  # a copy that was put back may have other rights; SQLite gives its other files the rights of this one
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            _prepare(connection, schema)
        except sqlite3.Error:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as fault:
        full = getattr(fault, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(fault, "errno", None) == errno.ENOSPC
        mend = "make room on its disk; the file is whole" if full else "move it away or choose another data_dir"
        raise ConfigurationError([f"{path}: cannot be used as the bridge's database ({fault}); {mend}."]) from None
    return connection


def _prepare(connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in {0, VERSION}:
        raise sqlite3.DatabaseError(f"its tables have version {found}, this bridge uses version {VERSION}")
    settings = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", f"PRAGMA journal_size_limit={_LOG_BYTES}")
    for statement in (*settings, *schema, f"PRAGMA user_version={VERSION}"):
        connection.execute(statement)


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
