"""Who takes what the sidecar brings, however it brings it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge import telemetry
from bridge.adapters.dapr.properties import to_delivery
from bridge.errors import Undeliverable
from bridge.ports import Ack, Handler

ROUTE = "/deliveries/"  #: what stands before a source's name in the route of its subscription


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic that the sidecar is asked to bring, under its own name."""

    component: str
    topic: str

    @property
    def route(self) -> str:
        """Where it is to be brought."""
        return f"{ROUTE}{self.topic}"


@dataclass
class _Reader:
    handler: Handler
    room: asyncio.Semaphore
    dead_letters: bool
    running: set[asyncio.Task[Ack]] = field(default_factory=set)


class Readers:
    """The handlers by source. `sources` are the names that a handler may be for."""

    def __init__(self, sources: frozenset[str]) -> None:
        self._sources = sources
        self._readers: dict[str, _Reader] = {}
        self._closing = False

    def take(self, source: str, handler: Handler, *, concurrency: int, dead_letters: bool = False) -> None:
        """Let `handler` take the messages of `source`; `dead_letters`: a broker forwards its own there.

        Raises Undeliverable if there is no such queue or subscription.
        """
        if source not in self._sources:
            raise Undeliverable(f"There is no queue or subscription named {source!r}.", hint='Write it "queue" or "topic/subscription".')
        self._readers[source] = _Reader(handler, asyncio.Semaphore(concurrency), dead_letters)

    @property
    def taken(self) -> tuple[str, ...]:
        """The sources that have a handler."""
        return tuple(self._readers)

    async def close(self, patience: float) -> None:
        """Take nothing more, let handlers go on for `patience` seconds, then cancel them; the sidecar keeps what they had."""
        self._closing = True
        running = {task for reader in self._readers.values() for task in reader.running}
        if running and patience > 0:
            await asyncio.wait(running, timeout=patience)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def handle(self, route: str, body: bytes, properties: Mapping[str, str]) -> Ack:
        """What became of a message that was brought to `route`; RETRY where nobody can take it now."""
        reader = self._readers.get(source := route.removeprefix(ROUTE))
        if reader is None:
            return Ack.RETRY
        async with reader.room:
            if self._closing:  # it may have begun while the message was read
                return Ack.RETRY
            delivery = to_delivery(source, body, properties, dead_letters=reader.dead_letters)
            task = asyncio.ensure_future(reader.handler(delivery))
            reader.running.add(task)
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                return Ack.RETRY
            except Exception as fault:  # noqa: BLE001 - whatever a handler fails with, its message must come back
                reason = f"{type(fault).__name__}: {fault}".replace("\n", " ")
                telemetry.step("retry", level="error", run=delivery.message.correlation_id or "-", source=source, error=reason)
                return Ack.RETRY
            finally:
                reader.running.discard(task)
