"""The registry of handlers: which handler takes the messages of which subscription, and which handlers are running."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge import telemetry
from bridge.adapters.dapr.metadata import to_delivery
from bridge.errors import Undeliverable
from bridge.ports import Ack, Handler

ROUTE = "/deliveries/"  #: what stands before a source's name in the route of its subscription


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """A topic that the sidecar is asked to deliver under its own name."""

    component: str
    topic: str

    @property
    def route(self) -> str:
        """The path to which the sidecar delivers it."""
        return f"{ROUTE}{self.topic}"


@dataclass
class _Registration:
    source: str
    handler: Handler
    slots: asyncio.Semaphore
    dead_letters: bool
    running: set[asyncio.Task[Ack]] = field(default_factory=set)


class SubscriptionRegistry:
    """The handlers by source. `known` are the names of sources that may have one."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._by_route: dict[str, _Registration] = {}
        self._closing = False

    def register(self, source: str, handler: Handler, *, concurrency: int, dead_letters: bool = False) -> None:
        """Let `handler` take the messages of `source`, at most `concurrency` at a time. Raises Undeliverable for an unknown source.

        `dead_letters` says that a broker forwards its dead letters to the source.
        """
        if source not in self._known:
            raise Undeliverable(f"There is no queue or subscription named {source!r}.", hint='Write it "queue" or "topic/subscription".')
        self._by_route[f"{ROUTE}{source}"] = _Registration(source, handler, asyncio.Semaphore(concurrency), dead_letters)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that have a handler."""
        return tuple(each.source for each in self._by_route.values())

    async def close(self, patience: float) -> None:
        """Accept no more messages, give handlers `patience` seconds, then cancel them. The sidecar keeps their messages."""
        self._closing = True
        running = {task for each in self._by_route.values() for task in each.running}
        if running and patience > 0:
            await asyncio.wait(running, timeout=patience)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def handle(self, route: str, body: bytes, headers: Iterable[tuple[str, str]]) -> Ack:
        """Handle a message that was delivered to `route`, and return the outcome; RETRY if no handler can take it now."""
        found = self._by_route.get(route)
        if found is None:
            return Ack.RETRY
        async with found.slots:
            if self._closing:  # it may have begun while the message was read
                return Ack.RETRY
            delivery = to_delivery(found.source, body, headers, dead_letters=found.dead_letters)
            task = asyncio.ensure_future(found.handler(delivery))
            found.running.add(task)
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                return Ack.RETRY
            except Exception as error:  # noqa: BLE001 - whatever a handler fails with, its message must come back
                reason = f"{type(error).__name__}: {error}".replace("\n", " ")
                telemetry.step("retry", level="error", run=delivery.message.correlation_id or "-", source=found.source, error=reason)
                return Ack.RETRY
            finally:
                found.running.discard(task)
