"""Opens the file of the database: checks it, brings its tables up to date, and sets what SQLite must do."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from bridge.adapters.embedded import commitcount, freepages, integrity
from bridge.adapters.embedded.commitcount import CommitCount
from bridge.adapters.embedded.transaction import BUSY_SECONDS
from bridge.errors import ConfigurationError

VERSION = 2  #: of the tables; a file with a later version is refused and left as it is
_UPGRADES = {
    1: tuple(f"ALTER TABLE messages ADD COLUMN {column}" for column in ("session TEXT", "encoded BLOB", "header INTEGER", "added BLOB"))
}
_LOG_BYTES = 64 * 2**20  #: the size to which a write-ahead log that has grown is cut back


def connect(path: Path, schema: Sequence[str], count: CommitCount, spoiled: Callable[[sqlite3.Connection], str]) -> sqlite3.Connection:
    """The connection that writes, with the tables of `schema`. `spoiled` finds what is wrong within the tables of a file.

    Raises ConfigurationError if the file cannot be used.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with suppress(PermissionError):
            path.chmod(0o600)  # a restored copy may have other permissions; SQLite gives its other files those of this one
        _inspect(path, count, spoiled)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            _prepare(connection, schema, count)
        except sqlite3.Error:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as fault:
        raise ConfigurationError([f"{path}: cannot be used as the bridge's database ({fault}). {_remedy(fault)}."]) from None
    return connection


def _remedy(fault: Exception) -> str:
    if getattr(fault, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(fault, "errno", None) == errno.ENOSPC:
        return "Make room on its disk; the file is whole"
    return f"Nothing was changed. {integrity.RECOVERY}" if integrity.is_damage(fault) else "Move it away or choose another data_dir"


def _inspect(path: Path, count: CommitCount, spoiled: Callable[[sqlite3.Connection], str]) -> None:
    """Raises ConfigurationError or sqlite3.Error for a file that may not be used. It is left as it is, and so is its write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:  # SQLite would remove the log
        raise ConfigurationError([f"{path}: is missing, but its write-ahead log is there; put it back, or remove {log} to begin anew."])
    with closing(reader(path)) as connection:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, *_UPGRADES, VERSION}:
            raise sqlite3.DatabaseError(f"its tables have version {found}, this bridge uses version {VERSION}")
        _require_whole(connection, spoiled)
        count.check(connection)


def _prepare(connection: sqlite3.Connection, schema: Sequence[str], count: CommitCount) -> None:
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")  # what closed the file last may still be copying its log
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    freepages.enable(connection, integrity.AT_ONCE)
    settings = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", f"PRAGMA journal_size_limit={_LOG_BYTES}")
    # The tables in one transaction, so that a file is never found half upgraded.
    tables = (*_UPGRADES.get(found, ()), *schema, commitcount.SCHEMA, f"PRAGMA user_version={VERSION}")
    for statement in (*settings, "BEGIN IMMEDIATE", *tables, "COMMIT"):
        connection.execute(statement)
    count.start(connection)
    connection.execute("PRAGMA busy_timeout=0")  # from now on only the thread waits, never the event loop


def _require_whole(connection: sqlite3.Connection, spoiled: Callable[[sqlite3.Connection], str]) -> None:
    """Raises sqlite3.DatabaseError if a file that is checked at once is damaged."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    if pages * size > integrity.AT_ONCE:
        return
    if found := integrity.faults(connection) or spoiled(connection):
        fault = sqlite3.DatabaseError(found)
        fault.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise fault


def checkpoint(path: Path) -> None:
    """Move the write-ahead log into the file, as far as nobody reads it. What goes wrong is left for the next time."""
    address = f"{path.absolute().as_uri()}?mode=rw"  # never makes a file
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def commit_count(data_dir: Path) -> CommitCount:
    """The count of commits in the data directory. Raises ConfigurationError if its file cannot be written."""
    try:
        return CommitCount(data_dir)
    except OSError as fault:
        raise ConfigurationError(
            [f"{data_dir / commitcount.FILE}: cannot be written ({fault.strerror}); choose another data_dir."]
        ) from None
