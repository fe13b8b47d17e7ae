"""How many transactions were committed: in the database, and after each commit also in a small file beside it.

What was acknowledged and not yet moved into `bridge.db` is in its write-ahead log. SQLite takes a log that was cut, or is missing, for one
that holds less, and says nothing. The two numbers tell: the one in the database is never smaller, unless something is missing.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from bridge.errors import ConfigurationError

FILE = "bridge.commits"
SCHEMA = "CREATE TABLE IF NOT EXISTS commits(number INTEGER NOT NULL)"
_DIGITS = 20  #: every number has the same length, so that writing one takes no room on a full disk


class CommitCount:
    """Counts the transactions of one connection. Not synced: after a power cut the number beside the database may be too small."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._number = 0

    def check(self, connection: sqlite3.Connection) -> None:
        """Compare the numbers, before the file is written to. Raises ConfigurationError if transactions are missing."""
        has_number = connection.execute("SELECT 1 FROM sqlite_master WHERE name='commits'").fetchone()
        rows = connection.execute("SELECT number FROM commits").fetchall() if has_number else []
        found = int(rows[0][0]) if rows else 0
        text = os.read(self._file, _DIGITS)
        known = int(text) if text.isdigit() else 0
        if found < known:
            why = "bridge.db-wal was cut or removed, or an older copy of bridge.db was put in its place"
            fix = f"put the files back; or, to go on without what is missing, remove {self._path}"
            missing = f"{known - found} of {known} transactions that were acknowledged are missing"
            raise ConfigurationError([f"{self._path.parent}: {missing}: {why}; {fix}."])

    def start(self, connection: sqlite3.Connection) -> None:
        """Go on counting, when the tables are there."""
        connection.execute("INSERT INTO commits SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM commits)")
        self._number = int(connection.execute("SELECT number FROM commits").fetchone()[0])
        self.committed()

    def add(self, connection: sqlite3.Connection) -> None:
        """Count the transaction that is open. The number of one that fails is left out."""
        self._number += 1
        connection.execute("UPDATE commits SET number=?", (self._number,))

    def committed(self) -> None:
        """Note that what was counted is committed."""
        with suppress(OSError):  # a number that is too small tells less, and nothing wrong
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, b"%0*d\n" % (_DIGITS, self._number))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
