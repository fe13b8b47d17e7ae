"""One SQLite file with group commit, and the thread that commits.

Operations that are submitted while a transaction is being committed form the next transaction, so that one fsync serves many writes and a
single write does not wait for others. With `PRAGMA synchronous=FULL`, committed data survives a power cut. Operations run in the order in
which they were submitted, and their outcomes are reported on the event loop in that order.

Statements run on the event loop and take microseconds, because they write to memory; the commit, which waits for the disk, runs in the
thread. If the statements ran in the thread too, each would wait for the interpreter lock of a busy loop: a third of the throughput.

A write is reported as done only if its file is still at its place: see `integrity`. A file that is damaged is not used any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from bridge.adapters.embedded import databasefile, freepages, integrity
from bridge.adapters.embedded.data_directory import locked
from bridge.adapters.embedded.integrity import OpenFiles
from bridge.adapters.embedded.transaction import Damaged, Transactions, Work, port_error
from bridge.errors import Full, Unavailable

FILE = "bridge.db"
WAITING = 10_000  #: operations that may wait to be committed; more are refused
_WATCH_SECONDS = 1.0  #: how often it is looked whether the files are at their place
_STOPPING = "The bridge is stopping; nothing more is read or stored."

_log = logging.getLogger("bridge.database")

T = TypeVar("T")
Then = Callable[[Any], None]
Operation = tuple[Work, Then]


class Database:
    """The open file. `Database.open` makes one. Reads return at once, writes when they are durable."""

    def __init__(self, path: Path, waiting: int) -> None:
        self.path = path
        self._limit = waiting
        self._waiting = 0
        self._pending: list[Operation] = []
        self._commits: SimpleQueue[tuple[list[Work], list[Any] | None] | None] = SimpleQueue()
        self._committing: list[Operation] = []
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = self._shrinking = False
        self._changes = 0
        self._refused: Unavailable | None = None  # why the last write failed; None if it succeeded
        self._gone: Unavailable | None = None  # a file is not at its place
        self._damage: Damaged | None = None
        self._reader: sqlite3.Connection
        self._writer: sqlite3.Connection
        self._transactions: Transactions
        self._files: OpenFiles

    @classmethod
    @asynccontextmanager
    async def open(
        cls, data_dir: Path, schema: Sequence[str], *, waiting: int = WAITING, spoiled: Callable[[sqlite3.Connection], str] = lambda _: ""
    ) -> AsyncIterator[Database]:
        """Open `data_dir`/bridge.db and create the tables of `schema` that are missing. Closing finishes what was submitted.

        `spoiled` finds what is wrong within the tables of a file that is checked before it is used.

        Raises ConfigurationError if the directory is in use by another process or the file cannot be used.
        """
        with locked(data_dir):
            database = cls(data_dir / FILE, waiting)
            with closing(databasefile.commit_count(data_dir)) as count:
                database._writer = await asyncio.to_thread(databasefile.connect, database.path, schema, count, spoiled)
                database._reader = databasefile.reader(database.path)
                database._transactions, database._files = Transactions(database._writer, count), OpenFiles(database.path)
                threading.Thread(target=database._commit_all, name="bridge-writer", daemon=True).start()
                if database.path.stat().st_size > integrity.AT_ONCE:
                    threading.Thread(target=database._check, name="bridge-check", daemon=True).start()
                watching = asyncio.create_task(database._watch())
                try:
                    yield database
                finally:
                    watching.cancel()
                    await database._close()

    @property
    def trouble(self) -> Unavailable | None:
        """Why the database cannot be used at present; None if reads and writes succeed and the files are whole and at their place."""
        return self._damage or self._gone or self._refused

    def submit(self, work: Work, then: Then) -> None:
        """Queue an operation. `then` is called on the event loop with the result of `work` once that is durable, or with the error.

        `work` runs in a transaction that it shares with others. To fail alone, it raises a PortError before it writes anything.
        """
        refused = Unavailable(_STOPPING) if self._closing else self._damage or self._gone
        if refused is not None:
            self._loop.call_soon(then, refused)
            return
        if not self._pending:
            self._loop.call_soon(self._start_transaction)
        self._pending.append((work, then))
        self._waiting += 1

    async def write(self, work: Callable[[sqlite3.Connection], T], committed: Callable[[T], None] | None = None) -> T:
        """Run an operation and return its result once that is durable. Raises what `work` raises, Unavailable or Full.

        `committed` is called with the result even if the caller was cancelled.
        """
        if self._waiting >= self._limit:
            raise Full(f"{self._waiting} writes are waiting for the disk.", retry_after=1)
        future: asyncio.Future[T] = self._loop.create_future()
        self.submit(work, partial(_resolve, future, committed))
        return await future

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query. It runs on the event loop, so it must be short and use an index. Raises Unavailable.

        A file that is damaged or gone is not read: nobody else will find what it has.
        """
        if self._closing:
            raise Unavailable(_STOPPING)
        if (lost := self._damage or self._gone) is not None:
            raise lost
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as fault:
            failure = port_error(fault)
            if isinstance(failure, Unavailable):
                self._note_refusal(failure)
            raise failure from fault

    async def shrink(self) -> bool:
        """Give some free pages back to the disk. Returns whether there may be more. Raises Unavailable."""
        released = await self.write(freepages.release)
        if self._shrinking and not released:
            # The file gets shorter only when the write-ahead log is moved into it, and the last steps are perhaps never followed by others.
            await asyncio.to_thread(databasefile.checkpoint, self.path)
        self._shrinking = released
        return released

    def bytes_used(self) -> int:
        """The size of the file in bytes without its free pages."""
        pages, free, size = (self.read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def _start_transaction(self) -> None:
        """Start a transaction with the pending operations. While one is being committed, they wait for its end."""
        if self._committing or not self._pending:
            return
        self._committing, self._pending = self._pending, []
        works = [work for work, _ in self._committing]
        self._commits.put((works, self._transactions.run(works)))

    def _finish(self, outcomes: list[Any], missing: str) -> None:
        self._note_missing(missing)
        if self._gone is not None:  # a file that was removed takes writes without complaint
            outcomes = [self._gone] * len(outcomes)
        batch, self._committing = self._committing, []
        self._waiting -= len(batch)
        self._note_trouble(outcomes)
        for (_, then), outcome in zip(batch, outcomes, strict=True):
            then(outcome)
        if self._closing and not self._pending:
            self._commits.put(None)
        else:
            self._start_transaction()

    def _note_trouble(self, outcomes: list[Any]) -> None:
        """Note whether the disk accepts writes. A transaction that changed nothing does not tell."""
        changed, self._changes = self._writer.total_changes > self._changes, self._writer.total_changes
        failed = next((outcome for outcome in outcomes if isinstance(outcome, Unavailable)), None)
        if failed is not None:
            self._note_refusal(failed)
        elif changed and self._refused is not None:
            _log.info("the database can be used again")
            self._refused = None

    def _note_refusal(self, failure: Unavailable) -> None:
        """A read or a write failed. The next write that succeeds shows that this is over, unless the file is damaged."""
        if self._refused is None:
            _log.error("%s", failure.detail)
        self._refused = failure
        self._note_damage(failure)

    def damaged(self, what: str) -> Damaged:
        """Note that the file is damaged, so that it is not used any more. Returns the error to raise."""
        damage = Damaged(what)
        self._note_damage(damage)
        return damage

    def _note_damage(self, failure: Exception) -> None:
        if isinstance(failure, Damaged) and self._damage is None:
            what = f"{self.path} is damaged, or its disk cannot be read ({failure.detail})"
            self._damage = Damaged(f"{what}. A start checks the file. If it is refused: {integrity.RECOVERY}.")
            _log.error("%s", self._damage.detail)

    async def _watch(self) -> None:
        """Look at regular intervals whether the files are at their place."""
        while True:
            self._note_missing(self._files.missing())
            await asyncio.sleep(_WATCH_SECONDS)

    def _note_missing(self, missing: str) -> None:
        if missing and self._gone is None:
            _log.error("nothing can be stored: %s", missing)
        self._gone = Unavailable(missing) if missing else None

    def _check(self) -> None:
        """The thread that checks a large file while it is in use."""
        with suppress(AttributeError, OSError):  # Linux alone knows priorities of threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        with closing(databasefile.reader(self.path)) as connection:
            found = integrity.faults(connection, quick=True)
        if found:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._note_damage, Damaged(found))

    def _commit_all(self) -> None:
        """The thread that commits. While it commits a transaction, nothing else uses the connection."""
        while (transaction := self._commits.get()) is not None:
            outcomes = self._transactions.commit(*transaction)
            self._loop.call_soon_threadsafe(self._finish, outcomes, self._files.missing())
        self._writer.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    async def _close(self) -> None:
        self._closing = True
        # The connection that is closed last moves the write-ahead log into the file, which one that only reads cannot.
        self._reader.close()
        if not self._committing and not self._pending:
            self._commits.put(None)
        await asyncio.shield(self._ended)


def _resolve(future: asyncio.Future[T], committed: Callable[[T], None] | None, outcome: T | Exception) -> None:
    if isinstance(outcome, Exception):
        if not future.done():
            future.set_exception(outcome)
        return
    if committed is not None:
        committed(outcome)
    if not future.done():
        future.set_result(outcome)
