"""The embedded runtime: bus, store and timers in one SQLite file, for one process, with nothing else to install."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.adapters.embedded.bus import SCHEMA as BUS_SCHEMA
from bridge.adapters.embedded.bus import EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.outbox import EmbeddedOutbox
from bridge.adapters.embedded.store import SCHEMA as STORE_SCHEMA
from bridge.adapters.embedded.store import EmbeddedStore, spoiled
from bridge.entities import Entities


@dataclass(frozen=True)
class Embedded:
    """A bus and a store in one file, an outbox over both, and the broker that other processes reach over AMQP."""

    bus: EmbeddedBus
    store: EmbeddedStore
    outbox: EmbeddedOutbox
    broker: EmbeddedBroker
    database: Database

    def trouble(self) -> Mapping[str, str]:
        """The trouble with the disk under the name `disk`; its text is empty if there is none."""
        found = self.database.trouble
        return {"disk": str(found) if found is not None else ""}

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - each is one setting
        cls,
        data_dir: Path,
        entities: Entities,
        *,
        queue_limit: int,
        data_limit: int,
        max_message: int,
        crashed_to: str = "",
    ) -> AsyncIterator[Embedded]:
        """Open `data_dir`/bridge.db. Sizes are in bytes; `queue_limit` is the most messages of one queue, `crashed_to` the queue for
        messages that crashed this process.

        Raises ConfigurationError if the directory cannot be used or is in use, or an entity has unsupported properties.
        """
        async with AsyncExitStack() as stack:
            opening = Database.open(data_dir, (*BUS_SCHEMA, *STORE_SCHEMA), spoiled=spoiled)
            database = await stack.enter_async_context(opening)
            store = EmbeddedStore(database, data_limit=data_limit)
            bus = EmbeddedBus(database, entities, queue_limit=queue_limit, max_message=max_message, crashed_to=crashed_to)
            stack.push_async_callback(store.close)
            stack.push_async_callback(bus.close)
            await store.start()
            await bus.start()
            broker = EmbeddedBroker(bus, entities, database, data_limit=data_limit)
            stack.callback(broker.close)
            yield cls(bus, store, EmbeddedOutbox(database, store, bus), broker, database)
