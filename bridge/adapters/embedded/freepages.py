"""Free pages go back to the disk: without this, the file would stay as large as it ever was, although its runs are gone.

SQLite can do this in small steps (`auto_vacuum=INCREMENTAL`), where a `VACUUM` would write the whole file once more, at a stretch.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

AT_ONCE = 32  #: pages in one step, which takes less than a millisecond
KEPT = 1_000  #: free pages that stay, or a tenth of the file if that is more: new runs need pages again soon
_INCREMENTAL = 2


def enable(connection: sqlite3.Connection, largest: int) -> None:
    """Let the file shrink in steps. A file that was made before must be written anew for that, which is left out beyond `largest` bytes."""
    if _value(connection, "auto_vacuum") == _INCREMENTAL:
        return
    connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
    pages = _value(connection, "page_count")
    if 0 < pages * _value(connection, "page_size") <= largest:
        with suppress(sqlite3.OperationalError):  # there may be no room for the copy that this makes
            connection.execute("VACUUM")


def release(connection: sqlite3.Connection) -> bool:
    """Give some free pages back. Returns whether there were any to give."""
    free, pages = _value(connection, "freelist_count"), _value(connection, "page_count")
    if free <= max(KEPT, pages // 10) or _value(connection, "auto_vacuum") != _INCREMENTAL:
        return False
    for _ in range(AT_ONCE):
        connection.execute("PRAGMA incremental_vacuum(1)")  # of a larger number, Python's sqlite3 would free one page all the same
    return True


def _value(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
