"""Transactions on one connection: each holds the operations that were submitted together, and is counted when it is committed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from bridge.adapters.embedded.commitcount import CommitCount
from bridge.errors import Full, PortError, Unavailable

BUSY_SECONDS = 5.0  #: how long to wait for another program that has locked the file
_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_OUR_MISTAKES = frozenset((sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE))

Work = Callable[[sqlite3.Connection], Any]


class Damaged(Unavailable):
    """The file is damaged: what it still gives cannot be relied on. This does not end by itself."""


class Transactions:
    """Runs operations. One transaction at a time: `run` starts it on the event loop, `commit` ends it in the thread that may wait."""

    def __init__(self, connection: sqlite3.Connection, count: CommitCount) -> None:
        self._connection, self._count = connection, count

    def run(self, works: list[Work]) -> list[Any] | None:
        """Run all operations in one transaction and leave it open. None if one of them broke it, or another program has locked the file."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            return self._all(works)
        except Exception:  # noqa: BLE001 - `commit` runs each operation again, alone, and reports its own error
            return None

    def commit(self, works: list[Work], outcomes: list[Any] | None) -> list[Any]:
        """Commit the transaction. If it was broken, run each operation in a transaction of its own, so that only the faulty ones fail."""
        if outcomes is not None:
            try:
                self._end()
            except sqlite3.Error as fault:
                failure = port_error(fault)
                if isinstance(failure, Unavailable):
                    self._roll_back()
                    return [failure] * len(works)
            else:
                return outcomes
        self._roll_back()
        return [self._alone(work) for work in works]

    def _alone(self, work: Work) -> Any:
        try:
            self._begin()
            (outcome,) = self._all([work])
            self._end()
        except Exception as fault:  # noqa: BLE001 - the caller that waits for the operation gets its error
            self._roll_back()
            return port_error(fault) if isinstance(fault, sqlite3.Error) else fault
        return outcome

    def _all(self, works: list[Work]) -> list[Any]:
        before = self._connection.total_changes
        outcomes = [_attempt(self._connection, work) for work in works]
        if self._connection.total_changes > before:
            self._count.add(self._connection)
        return outcomes

    def _begin(self) -> None:
        """Start a transaction, and wait for another program that has locked the file. Only the thread waits, never the event loop."""
        give_up = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as fault:
                if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
            else:
                return

    def _end(self) -> None:
        """Commit. SQLite returns only when the disk has confirmed it, and raises if the disk could not."""
        self._connection.execute("COMMIT")
        self._count.committed()

    def _roll_back(self) -> None:
        # SQLite has rolled back already after some errors, a full disk among them.
        if self._connection.in_transaction:
            self._connection.rollback()


def _attempt(connection: sqlite3.Connection, work: Work) -> Any:
    try:
        return work(connection)
    except PortError as refused:
        return refused


def port_error(fault: sqlite3.Error) -> Exception:
    """Trouble with the disk becomes Full, Damaged or Unavailable. Any other error is a mistake in this code and is returned as it is."""
    code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Full("The disk is full.", hint="Make room on the disk of data_dir, then send the same again.", retry_after=10)
    if code in _OUR_MISTAKES:
        return fault
    kind = Damaged if code in _DAMAGE else Unavailable
    return kind(f"The database could not be used ({getattr(fault, 'sqlite_errorname', type(fault).__name__)}: {fault}).")
