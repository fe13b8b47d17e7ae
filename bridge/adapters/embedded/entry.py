"""A stored message: its row in the table `messages`, and the statements for it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.ports import Message

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS messages(
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, due REAL NOT NULL, enqueued REAL NOT NULL, expires REAL,
        attempts INTEGER NOT NULL, scheduled INTEGER NOT NULL, topic TEXT NOT NULL, message_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
        label TEXT NOT NULL, content_type TEXT NOT NULL, properties TEXT NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS messages_order ON messages(source, due, id, scheduled)",
    "CREATE INDEX IF NOT EXISTS messages_expiry ON messages(expires) WHERE expires IS NOT NULL",
)
_COLUMNS = (
    "id, source, due, enqueued, expires, attempts, scheduled, topic, message_id, correlation_id, label, content_type, properties, body"
)
_INSERT = f"INSERT INTO messages({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)"

#: What the queue says of a dead letter; a sender cannot, or it could choose where a replay goes.
DEAD_LETTER_PROPERTIES = frozenset(("DeadLetterReason", "DeadLetterErrorDescription", "x-opt-deadletter-source", "deliveryCount"))

Key = tuple[float, int]  #: the order of delivery: when it is due (seconds since 1970), then its number


@dataclass(slots=True)
class Entry:
    """One message in one queue or subscription. Times are seconds since 1970."""

    id: int  #: its sequence number
    source: str
    message: Message
    due: float
    enqueued: float
    expires: float | None = None
    attempts: int = 0  #: how often it was handed out
    scheduled: bool = False  #: it was sent for later, so it does not count towards the limit of its source

    @property
    def key(self) -> Key:
        """Its place in the order of delivery."""
        return (self.due, self.id)


def insert(entries: Sequence[Entry], connection: sqlite3.Connection) -> None:
    """Store new entries."""
    for entry in entries:
        connection.execute(_INSERT, _row(entry))


def delete(entry_id: int, connection: sqlite3.Connection) -> bool:
    """Remove an entry; whether it was there."""
    return connection.execute("DELETE FROM messages WHERE id=?", (entry_id,)).rowcount > 0


def put_off(entry_id: int, due: float, attempts: int, connection: sqlite3.Connection) -> bool:
    """Store when an entry comes back and how often it was handed out; whether it was there."""
    return connection.execute("UPDATE messages SET due=?, attempts=? WHERE id=?", (due, attempts, entry_id)).rowcount > 0


def move(entry_id: int, entries: Sequence[Entry], connection: sqlite3.Connection) -> bool:
    """Replace an entry by others; whether it was there."""
    found = delete(entry_id, connection)
    if found:
        insert(entries, connection)
    return found


def read_from(source: str, key: Key, limit: int, budget: int, connection: sqlite3.Connection) -> tuple[list[Entry], bool]:
    """Up to `limit` entries and about `budget` bytes of a source in order of delivery from `key` on, and whether that is all."""
    query = f"SELECT {_COLUMNS} FROM messages WHERE source=? AND (due, id) >= (?, ?) ORDER BY due, id LIMIT ?"  # noqa: S608 - fixed names
    entries: list[Entry] = []
    for row in connection.execute(query, (source, *key, limit)):
        entries.append(_entry(row))
        budget -= size(entries[-1])
        if budget <= 0:
            return entries, False
    return entries, len(entries) < limit


def expired(now: float, limit: int, connection: sqlite3.Connection) -> list[Entry]:
    """Entries whose time to live is over."""
    query = f"SELECT {_COLUMNS} FROM messages WHERE expires <= ? ORDER BY expires LIMIT ?"  # noqa: S608 - fixed names
    return [_entry(row) for row in connection.execute(query, (now, limit))]


def depths(connection: sqlite3.Connection) -> dict[str, int]:
    """How many entries each source has that count towards its limit."""
    return dict(connection.execute("SELECT source, sum(NOT scheduled) FROM messages GROUP BY source"))


def last_id(connection: sqlite3.Connection) -> int:
    """The highest number that is in use."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0])


def size(entry: Entry) -> int:
    """About how many bytes of memory an entry takes."""
    return len(entry.message.body) + 1000


def total(entries: Iterable[Entry]) -> int:
    """About how many bytes of memory the entries take."""
    return sum(map(size, entries))


def _row(entry: Entry) -> tuple[object, ...]:
    message = entry.message
    properties = json.dumps(dict(message.properties)) if message.properties else ""
    return (
        entry.id,
        entry.source,
        entry.due,
        entry.enqueued,
        entry.expires,
        entry.attempts,
        entry.scheduled,
        message.topic,
        message.message_id,
        message.correlation_id,
        message.label,
        message.content_type,
        properties,
        message.body,
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    (
        number,
        source,
        due,
        enqueued,
        expires,
        attempts,
        scheduled,
        topic,
        message_id,
        correlation_id,
        label,
        content_type,
        properties,
        body,
    ) = row
    message = Message(
        topic=topic,
        body=body,
        message_id=message_id,
        correlation_id=correlation_id,
        label=label,
        content_type=content_type,
        properties=json.loads(properties) if properties else {},
    )
    return Entry(number, source, message, due, enqueued, expires, attempts, bool(scheduled))
