"""The table `messages`: one row for each message of each queue and subscription, and the statements on it."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bridge.adapters.embedded.amqp.brokervalues import Value
from bridge.adapters.embedded.amqp.outgoing import decode_properties, encode_properties
from bridge.adapters.embedded.drafts import AmqpForm
from bridge.ports import Message

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS messages(
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, due REAL NOT NULL, enqueued REAL NOT NULL, expires REAL,
        attempts INTEGER NOT NULL, scheduled INTEGER NOT NULL, topic TEXT NOT NULL, message_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
        label TEXT NOT NULL, content_type TEXT NOT NULL, properties TEXT NOT NULL, body BLOB NOT NULL,
        session TEXT, encoded BLOB, header INTEGER, added BLOB)""",
    "CREATE INDEX IF NOT EXISTS messages_order ON messages(source, due, id, scheduled)",
    "CREATE INDEX IF NOT EXISTS messages_expiry ON messages(expires) WHERE expires IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS clock(ahead REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS messages_session ON messages(source, session, due, id) WHERE session IS NOT NULL",
)
_COLUMNS = (
    "id, source, due, enqueued, expires, attempts, scheduled, topic, message_id, correlation_id, label, content_type, properties, body"
)
_AMQP_COLUMNS = f"{_COLUMNS}, session, encoded, header, added"
_INSERT = f"INSERT INTO messages({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_AMQP = f"INSERT INTO messages({_AMQP_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_SELECT = f"SELECT {_AMQP_COLUMNS} FROM messages"  # noqa: S608 - fixed names
_NEVER = "9e999"  #: how SQL writes DEFERRED
_FEW = 100_000  #: messages of a queue whose part of the index can be read in some milliseconds

Key = tuple[float, int]  #: the order of delivery: by due time (seconds since 1970), then by number
SET = 1.0  #: seconds; if the clocks differ by more than they did, somebody has set one
NOTHING: Mapping[str, Value] = MappingProxyType({})
DEFERRED = math.inf  #: the due time of a message that is only received by its number


@dataclass(slots=True)
class StoredMessage:
    """One message in one queue or subscription. Times are seconds since 1970, by the steady time of the process that has the file open."""

    id: int  #: its sequence number
    queue: str  #: the queue or subscription that holds it
    message: Message
    due: float
    enqueued: float
    expires: float | None = None
    attempts: int = 0  #: how often it was delivered
    scheduled: bool = False  #: it was sent for later, so it does not count towards the limit of its queue
    amqp: AmqpForm | None = None  #: what only a message that came over AMQP has
    added: Mapping[str, Value] = field(default_factory=lambda: NOTHING)  #: application properties that receivers or the broker added

    @property
    def key(self) -> Key:
        """Its place in the order of delivery."""
        return (self.due, self.id)

    @property
    def deferred(self) -> bool:
        """Whether it is only received by its number."""
        return self.due == DEFERRED


def insert(messages: Sequence[StoredMessage], connection: sqlite3.Connection) -> None:
    """Store new messages."""
    for stored in messages:
        if stored.amqp is None and not stored.added:
            connection.execute(_INSERT, _row(stored))
        else:
            connection.execute(_INSERT_AMQP, (*_row(stored), *_amqp_row(stored)))


def delete(number: int, connection: sqlite3.Connection) -> bool:
    """Remove a message. Returns whether it existed."""
    return connection.execute("DELETE FROM messages WHERE id=?", (number,)).rowcount > 0


def reschedule(number: int, due: float, attempts: int, connection: sqlite3.Connection) -> bool:
    """Store when a message is due again and how often it was delivered. Returns whether it existed."""
    return connection.execute("UPDATE messages SET due=?, attempts=? WHERE id=?", (due, attempts, number)).rowcount > 0


def give_back(stored: StoredMessage, connection: sqlite3.Connection) -> bool:
    """Store when a message is due, how often it was delivered and what was added to it. Returns whether it existed."""
    added = encode_properties(stored.added) if stored.added else None
    values = (stored.due, stored.attempts, added, stored.id)
    return connection.execute("UPDATE messages SET due=?, attempts=?, added=? WHERE id=?", values).rowcount > 0


def move(number: int, copies: Sequence[StoredMessage], connection: sqlite3.Connection) -> bool:
    """Replace a message by its copies in other queues. Returns whether it existed."""
    found = delete(number, connection)
    if found:
        insert(copies, connection)
    return found


def read_from(  # noqa: PLR0913, PLR0917 - the last two are bounds
    queue: str, session: str | None, key: Key, limit: int, budget: int, connection: sqlite3.Connection
) -> tuple[list[StoredMessage], bool]:
    """The messages of a queue, or of one session of it, from `key` on, in the order of delivery, and whether there are no more.

    At most `limit` messages and about `budget` bytes are read. Deferred messages are left out.
    """
    where, values = ("source=?", (queue,)) if session is None else ("source=? AND session=?", (queue, session))
    query = f"{_SELECT} WHERE {where} AND (due, id) >= (?, ?) AND due < ? ORDER BY due, id LIMIT ?"
    found: list[StoredMessage] = []
    for row in connection.execute(query, (*values, *key, DEFERRED, limit)):
        found.append(from_row(row))
        budget -= size(found[-1])
        if budget <= 0:
            return found, False
    return found, len(found) < limit


def expired(now: float, limit: int, connection: sqlite3.Connection) -> list[StoredMessage]:
    """Messages whose time to live is over."""
    query = f"{_SELECT} WHERE expires <= ? ORDER BY expires LIMIT ?"
    return [from_row(row) for row in connection.execute(query, (now, limit))]


def any_expired(now: float) -> tuple[str, tuple[object, ...]]:
    """A query that finds a row if the time to live of a message is over."""
    return "SELECT 1 FROM messages WHERE expires <= ? LIMIT 1", (now,)


def by_numbers(queue: str, numbers: Iterable[int]) -> tuple[str, tuple[object, ...]]:
    """A query for the messages of a queue with these numbers, whose rows `from_row` reads."""
    query = f"{_SELECT} WHERE id IN (SELECT value FROM json_each(?)) AND source=? ORDER BY id"  # noqa: S608 - fixed names
    return query, (json.dumps(list(numbers)), queue)


def peek(queue: str, session: str | None, number: int, count: int, depth: int) -> tuple[str, tuple[object, ...]]:
    """A query for `count` messages of a queue or session from a number on, in their order. `depth` is about how many the queue holds.

    No index has this order, because every message would pay for it: few messages are found through the queue's part of an index, many by
    their numbers among those of all queues.
    """
    if session is not None:
        return f"{_SELECT} WHERE source=? AND session=? AND id >= ? ORDER BY +id LIMIT ?", (queue, session, number, count)
    if depth <= _FEW:
        inner = "SELECT id FROM messages INDEXED BY messages_order WHERE source=? AND id >= ? ORDER BY +id LIMIT ?"
        return f"{_SELECT} WHERE id IN ({inner}) ORDER BY id", (queue, number, count)
    return f"{_SELECT} WHERE +source=? AND id >= ? ORDER BY id LIMIT ?", (queue, number, count)


def depths(connection: sqlite3.Connection) -> dict[str, int]:
    """How many messages of each queue count towards its limit."""
    return dict(connection.execute("SELECT source, sum(NOT scheduled) FROM messages GROUP BY source"))


def note_ahead(ahead: float, connection: sqlite3.Connection) -> None:
    """Store by how many seconds the wall clock is ahead of the steady time that the rows follow."""
    connection.execute("DELETE FROM clock")
    connection.execute("INSERT INTO clock VALUES(?)", (ahead,))


def restart_clock(now: float, connection: sqlite3.Connection) -> None:
    """Let the rows of an earlier process follow the steady time of this one, which shows the wall clock, `now`, at its start.

    If the wall clock was set while the earlier process ran, times are moved by as much. If it was set back since a message came, a message
    for now is due now, and one for later waits no longer than it was to wait at first.
    """
    found = connection.execute("SELECT ahead FROM clock").fetchone()
    if found is not None and abs(found[0]) > SET:
        connection.execute("UPDATE messages SET due = due + ?1, enqueued = enqueued + ?1, expires = expires + ?1", found)
    note_ahead(0.0, connection)
    for queue in depths(connection):
        which = f"WHERE source=? AND due > ? AND due < {_NEVER}"
        connection.execute(f"UPDATE messages SET due=? {which} AND NOT scheduled", (now, queue, now))  # noqa: S608 - fixed text
        late = f"UPDATE messages SET due = ? + due - enqueued {which} AND scheduled AND enqueued > ?"  # noqa: S608 - fixed text
        connection.execute(late, (now, queue, now, now))


def last_id(connection: sqlite3.Connection) -> int:
    """The highest number that is in use."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0])


def size(stored: StoredMessage) -> int:
    """About how many bytes of memory a message takes."""
    return len(stored.message.body if stored.amqp is None else stored.amqp.encoded) + 1000


def _row(stored: StoredMessage) -> tuple[object, ...]:
    message = stored.message
    properties = json.dumps(dict(message.properties)) if message.properties else ""
    return (
        stored.id,
        stored.queue,
        stored.due,
        stored.enqueued,
        stored.expires,
        stored.attempts,
        stored.scheduled,
        message.topic,
        message.message_id,
        message.correlation_id,
        message.label,
        message.content_type,
        properties,
        message.body,
    )


def _amqp_row(stored: StoredMessage) -> tuple[object, ...]:
    added = encode_properties(stored.added) if stored.added else None
    if stored.amqp is None:
        return (None, None, None, added)
    priority, durable = stored.amqp.header
    header = (-1 if priority is None else priority) * 2 + durable
    return (stored.amqp.session, stored.amqp.encoded, header, added)


def from_row(row: tuple[Any, ...]) -> StoredMessage:
    """The message in a row of a query of this module."""
    number, queue, due, enqueued, expires, attempts, scheduled = row[:7]
    topic, message_id, correlation_id, label, content_type, properties, body = row[7:14]
    session, encoded, header, added = row[14:]
    message = Message(
        topic=topic,
        body=body,
        message_id=message_id,
        correlation_id=correlation_id,
        label=label,
        content_type=content_type,
        properties=json.loads(properties) if properties else {},
    )
    stored = StoredMessage(number, queue, message, due, enqueued, expires, attempts, bool(scheduled))
    if encoded is not None:
        stored.amqp = AmqpForm(encoded, session, (None if header < 0 else header >> 1, bool(header & 1)))
    if added is not None:
        stored.added = decode_properties(added)
    return stored
