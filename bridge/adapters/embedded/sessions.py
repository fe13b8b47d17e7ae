"""What the database knows of sessions: which have messages, and the state that receivers keep for each."""

from __future__ import annotations

import sqlite3

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS session_states(source TEXT NOT NULL, session TEXT NOT NULL, state BLOB NOT NULL, updated REAL NOT NULL,
        PRIMARY KEY(source, session))""",
)
#: The next session behind one, and when its first message is due; one step in the index, however many messages a session has.
_NEXT = "SELECT session, due FROM messages WHERE source=? AND session > ? ORDER BY session, due, id LIMIT 1"
_WITH_MESSAGES = """WITH RECURSIVE found(session) AS (
    SELECT min(session) FROM messages WHERE source=?1
    UNION ALL SELECT (SELECT min(session) FROM messages WHERE source=?1 AND session > found.session) FROM found WHERE session IS NOT NULL)
    SELECT session FROM found WHERE session IS NOT NULL UNION SELECT session FROM session_states WHERE source=?1
    ORDER BY session LIMIT ?2 OFFSET ?3"""
_WITH_STATE = "SELECT session FROM session_states WHERE source=? AND updated > ? ORDER BY session LIMIT ? OFFSET ?"


def find_free(
    source: str, last: str, now: float, locked: frozenset[str], connection: sqlite3.Connection
) -> tuple[str | None, float | None]:
    """The session behind `last`, in the order of their names and round again, that is not locked and has a message that is due.

    Without one, None and when the first message of another session will be due (None if there is none).
    """
    first_due: float | None = None
    for start, end in ((last, None), ("", last)):
        behind = start
        while (row := connection.execute(_NEXT, (source, behind)).fetchone()) is not None:
            behind, due = row
            if end is not None and behind > end:
                break
            if behind in locked:
                continue
            if due <= now:
                return behind, None
            if due < float("inf"):
                first_due = due if first_due is None else min(first_due, due)
    return None, first_due


def with_messages(source: str, skip: int, top: int) -> tuple[str, tuple[object, ...]]:
    """A query for the sessions that have messages or a state."""
    return _WITH_MESSAGES, (source, top, skip)


def with_state_since(source: str, since: float, skip: int, top: int) -> tuple[str, tuple[object, ...]]:
    """A query for the sessions whose state was set after `since`, in seconds since 1970."""
    return _WITH_STATE, (source, since, top, skip)


def set_state(source: str, session: str, state: bytes | None, now: float, connection: sqlite3.Connection) -> None:
    """Keep a state for a session; None removes it."""
    if state is None:
        connection.execute("DELETE FROM session_states WHERE source=? AND session=?", (source, session))
    else:
        connection.execute("INSERT OR REPLACE INTO session_states VALUES(?, ?, ?, ?)", (source, session, state, now))


def state_of(source: str, session: str) -> tuple[str, tuple[object, ...]]:
    """A query for the state of a session."""
    return "SELECT state FROM session_states WHERE source=? AND session=?", (source, session)
