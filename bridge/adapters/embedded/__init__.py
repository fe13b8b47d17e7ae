"""The embedded runtime: queue, state and timers in one SQLite file, for one process, with nothing else installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.adapters.embedded import entry, state
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.door import Door
from bridge.adapters.embedded.queue import Queue
from bridge.adapters.embedded.state import State
from bridge.entities import Entities


@dataclass(frozen=True)
class Embedded:
    """What the bridge needs on a machine of its own: a bus, a store, and a door to the bus for a functions host beside it."""

    bus: Queue
    store: State
    door: Door
    database: Database

    def trouble(self) -> Mapping[str, str]:
        """What is wrong with the disk, empty if nothing."""
        found = self.database.trouble
        return {"disk": str(found) if found is not None else ""}

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - each is one setting
        cls, data_dir: Path, entities: Entities, *, queue_limit: int, data_limit: int, max_message: int, queue_port: int = 0
    ) -> AsyncIterator[Embedded]:
        """Open `data_dir`/bridge.db and the queue door. Sizes are in bytes, `queue_limit` is a number of messages of one source.

        Raises ConfigurationError: the directory is in use or cannot be used, the entities need what is not here, the port is taken.
        """
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(Database.open(data_dir, (*entry.SCHEMA, *state.SCHEMA)))
            store = State(database, data_limit=data_limit)
            bus = Queue(database, entities, queue_limit=queue_limit, max_message=max_message)
            stack.push_async_callback(store.close)
            stack.push_async_callback(bus.close)
            await store.start()
            await bus.start()
            door = await stack.enter_async_context(Door.open(bus, data_dir, port=queue_port, max_message=max_message))
            yield cls(bus, store, door, database)
