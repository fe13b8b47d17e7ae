"""Whether the database is whole: its pages and indexes, and whether its files are still where they were opened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

RECOVERY = (
    "Restore a backup; or save what can be read, with the bridge stopped: `sqlite3 bridge.db .recover | sqlite3 "
    "recovered.db`, then put recovered.db in the place of bridge.db and remove bridge.db-wal, bridge.db-shm and bridge.commits"
)
#: Bytes. A file up to this size is checked before it is used, index by index, which takes less than half a second. A larger one is checked
#: while it is in use, and its indexes are not compared with their tables: 6 s for a million runs (4 GB) instead of 85 s.
AT_ONCE = 128 * 2**20
_SHOWN = 3  #: faults that are named; one damaged page may cause hundreds


def faults(connection: sqlite3.Connection, *, quick: bool = False) -> str:
    """What is wrong with pages, tables and indexes, in SQLite's words; empty if nothing is. It reads the whole file."""
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check({_SHOWN})")]
    except sqlite3.DatabaseError as fault:
        return str(fault)
    return "" if found == ["ok"] else " ".join("; ".join(found).split())


def is_damage(fault: BaseException) -> bool:
    """Whether SQLite has found that the file is damaged, or is no database."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class OpenFiles:
    """The database and its write-ahead log as they were opened.

    A process goes on writing to files that were removed or whose directory was renamed, but nobody will find there what it wrote.
    """

    def __init__(self, database: Path) -> None:
        self._known = [(path, _identity(path)) for path in (str(database), f"{database}-wal")]

    def missing(self) -> str:
        """What is wrong: a file that is no longer at its place; empty if all are."""
        for path, known in self._known:
            if known is not None and _identity(path) != known:
                return f"{path} was removed or replaced while it was in use; stop the bridge, put it back, and start again."
        return ""


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat is three times as slow, and this comes with every commit
    except OSError:
        return None
    return found.st_dev, found.st_ino
