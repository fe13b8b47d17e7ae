"""The outbox of the embedded runtime: one transaction for a write to the store and the messages that follow from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from bridge.adapters.embedded import messages as table
from bridge.adapters.embedded.bus import EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.messagebatch import MessageBatch
from bridge.adapters.embedded.queue import Scheduled
from bridge.adapters.embedded.store import EmbeddedStore
from bridge.adapters.embedded.transaction import Work
from bridge.ports import Message, Write


class EmbeddedOutbox:
    """Implements `ports.Outbox`."""

    def __init__(self, database: Database, store: EmbeddedStore, bus: EmbeddedBus) -> None:
        self._database, self._store, self._bus = database, store, bus

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        """Make the write, publish the messages and cancel the scheduled messages that are obsolete. Returns the new etag.

        Raises Conflict, Full, Undeliverable or Unavailable; nothing was stored then.
        """
        work, etag = self._store.prepare(write)
        scheduled = self._bus.find_scheduled(obsolete) if obsolete else ()
        batch = self._bus.prepare(messages)
        try:
            await self._database.write(partial(_commit, work, batch, scheduled), lambda _: self._bus.committed(batch, scheduled))
        except Exception:
            self._bus.rolled_back(batch)
            raise
        return etag


def _commit(work: Work, batch: MessageBatch, scheduled: Sequence[Scheduled], connection: sqlite3.Connection) -> None:
    # The store raises a conflict here, before anything else is written.
    work(connection)
    batch.insert(connection)
    for each in scheduled:
        table.delete(each.id, connection)
