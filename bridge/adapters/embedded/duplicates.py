"""Duplicate detection: the message ids that a queue or topic has taken, kept durably for a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS seen(source TEXT NOT NULL, message_id TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY(source, message_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS seen_age ON seen(source, at)",
)
_FORGET = "DELETE FROM seen WHERE (source, message_id) IN (SELECT source, message_id FROM seen WHERE source=? AND at <= ? LIMIT ?)"


def is_new(source: str, message_id: str, now: float, window: float, connection: sqlite3.Connection) -> bool:
    """Note that a queue or topic was sent this id at `now`. Returns whether it was not sent within the last `window` seconds."""
    found = connection.execute("SELECT at FROM seen WHERE source=? AND message_id=?", (source, message_id)).fetchone()
    if found is not None and found[0] > now - window:
        return False
    connection.execute("INSERT OR REPLACE INTO seen(source, message_id, at) VALUES(?, ?, ?)", (source, message_id, now))
    return True


def forget(windows: Mapping[str, float], now: float, limit: int, connection: sqlite3.Connection) -> int:
    """Delete ids that are older than the window of their queue or topic, `limit` for each. Returns how many were deleted."""
    return sum(connection.execute(_FORGET, (source, now - window, limit)).rowcount for source, window in windows.items())
