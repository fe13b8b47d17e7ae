"""A runtime on ports in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bridge.ports import Bus, DeadLetterQueues, Functions, Handler, Keep, Message, Outbox, Store, Write
from bridge.testing.bus import MemoryBus
from bridge.testing.store import MemoryStore


class MemoryRuntime:
    """Implements `ports.Runtime` with the ports that it is given. With an `outbox`, bus and store share transactions."""

    signing_key = b"k" * 32
    dead_letter_queues: DeadLetterQueues | None = None

    def __init__(self, bus: Bus, store: Store, functions: Functions, outbox: Outbox | None = None, replica: str = "memory") -> None:
        self.bus, self.store, self.functions, self.outbox, self.replica = bus, store, functions, outbox, replica

    def trouble(self) -> Mapping[str, str]:
        """This runtime never has trouble."""
        return {}

    def dead_letter_to(self, keep: Keep) -> None:
        """Not needed: the bus refuses no message after it has accepted it."""

    async def start(self, handlers: Mapping[str, Handler], concurrency: int, _waiting: Callable[[str], None]) -> None:
        """Subscribe the handlers."""
        for source, handler in handlers.items():
            await self.bus.subscribe(source, handler, concurrency=concurrency)

    async def close(self, patience: float) -> None:
        """There is nothing to close."""


class MemoryOutbox:
    """Implements `ports.Outbox` on a memory store and bus: it stores the write and the messages, or nothing."""

    def __init__(self, bus: MemoryBus, store: MemoryStore) -> None:
        self._bus, self._store = bus, store

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        """Make the write and publish the messages. Raises the error that the test has set on store or bus; nothing is published then."""
        self._bus.check(messages)
        etag = await (
            self._store.save(write.key, write.value, write.etag, write.ttl)
            if write.etag
            else self._store.create(write.key, write.value, write.ttl)
        )
        await self._bus.publish(messages)
        self._bus.forget(obsolete)
        return etag
