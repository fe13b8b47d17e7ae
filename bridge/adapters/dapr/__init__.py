"""The dapr runtime: bus and store are components of a Dapr sidecar, reached over its HTTP API on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bridge.adapters.dapr.bus import DaprBus
from bridge.adapters.dapr.callbacks import Callbacks
from bridge.adapters.dapr.connection import Connection
from bridge.adapters.dapr.deliveries import Deliveries
from bridge.adapters.dapr.health import Health
from bridge.adapters.dapr.held import Held
from bridge.adapters.dapr.later import Later
from bridge.adapters.dapr.readers import ROUTE, Readers, Wanted
from bridge.adapters.dapr.sidecar import GRPC, Component, Sidecar
from bridge.adapters.dapr.state import State
from bridge.adapters.dapr.subscriptions import Needed, Subscriptions
from bridge.entities import Entities
from bridge.errors import ConfigurationError, Unavailable
from bridge.ports import Message

__all__ = ["Connection", "Dapr"]

_TELLS = 5.0  #: seconds for its metadata
_log = logging.getLogger("bridge.dapr")


@dataclass(frozen=True)
class Dapr:
    """What the bridge needs, behind a sidecar."""

    bus: DaprBus
    store: State
    sidecar: Sidecar
    health: Health
    later: Later
    subscriptions: Subscriptions
    app_port: int

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - each is one thing that only the caller knows
        cls,
        connection: Connection,
        entities: Entities,
        *,
        replica: str,
        max_message: int,
        topics: Sequence[str] = (),
        probe: Message | None = None,
    ) -> AsyncIterator[Dapr]:
        """Wait for the sidecar and use it while the context is open. `replica`: no two bridges that run at a time have the same name.

        `topics` are to be brought under their own names, too, whatever subscriptions are declared. `probe` is a message that changes
        nothing; it is sent while the bus has refused what was sent last.
        Raises ConfigurationError (a component is missing, the port is taken) and Unavailable (no sidecar, no store).
        """
        problems = list(_unusable(entities))
        if problems:
            raise ConfigurationError(problems)
        async with AsyncExitStack() as stack:
            if not connection.app_token:
                _log.warning("APP_API_TOKEN is not set: whoever reaches the loopback port for deliveries could forge them")
            names = frozenset({*topics, *(name for name, _ in entities.sources)})
            wanted = [Wanted(connection.bus, topic) for topic in topics]
            readers, health = Readers(names), Health()
            sidecar = await stack.enter_async_context(Sidecar.open(connection.address, connection.api_token, health.heard))
            await sidecar.ready(connection.patience)
            protocol = await _protocol(sidecar)
            if protocol != GRPC:
                _log.warning("the sidecar brings events over HTTP and may lose some while the bridge restarts: give it --app-protocol grpc")
            listening = Callbacks.open if protocol == GRPC else Deliveries.open
            port = await stack.enter_async_context(listening(connection.app_port, connection.app_token, readers, wanted))
            await sidecar.settled()
            loaded = await sidecar.components()
            store = State(sidecar, _component(loaded, connection.store, "state."), health.of_store)
            later = Later(Held(store, replica))
            carriers = _carriers(loaded, connection, entities)
            forwarded = frozenset(its.forward_dead_lettered_messages_to or "" for _, its in entities.sources)
            bus = DaprBus(sidecar, carriers, readers, later, dead_letters=forwarded, max_message=max_message)
            stack.push_async_callback(bus.close)
            await later.start(bus.publish)
            subscriptions = Subscriptions(sidecar, lambda: _needed(readers.taken, carriers), port, protocol)
            watch = health.watch(sidecar, store.get, lambda: bus.publish([probe] if probe else []), subscriptions.missing)
            async with _going_on(watch):
                yield cls(bus, store, sidecar, health, later, subscriptions, port)


async def _protocol(sidecar: Sidecar) -> str:
    """How it brings messages; asked again until it tells. Raises ConfigurationError if it may not be asked."""
    while True:
        try:
            async with asyncio.timeout(_TELLS):
                return (await sidecar.told()).protocol
        except (TimeoutError, Unavailable) as fault:
            _log.warning("waiting for the sidecar to tell how it brings events: %s", str(fault) or f"no answer in {_TELLS:g} s")
            await asyncio.sleep(1)


@asynccontextmanager
async def _going_on(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _unusable(entities: Entities) -> Iterator[str]:
    detecting = [topic.name for topic in entities.topics if topic.properties.requires_duplicate_detection]
    detecting += [queue.name for queue in entities.queues if queue.properties.requires_duplicate_detection]
    for name in detecting:
        yield f"{name}: RequiresDuplicateDetection would drop what is put off, as it keeps its message id; set it to false."


def _carriers(loaded: Mapping[str, Component], connection: Connection, entities: Entities) -> dict[str, Component]:
    """The component of each topic and queue."""
    bus = _component(loaded, connection.bus, "pubsub.")
    queues = loaded.get(connection.queues, bus)
    return {**{topic.name: bus for topic in entities.topics}, **{queue.name: queues for queue in entities.queues}}


def _needed(sources: Sequence[str], carriers: Mapping[str, Component]) -> list[Needed]:
    topics = ((source.partition("/")[0], source) for source in sources)
    return [Needed(carriers[topic].name, topic, f"{ROUTE}{source}") for topic, source in topics]


def _component(loaded: Mapping[str, Component], name: str, kind: str) -> Component:
    found = loaded.get(name)
    if found is None or not found.type.startswith(kind):
        there = ", ".join(f"{each.name} ({each.type})" for each in loaded.values()) or "none"
        raise ConfigurationError([f"The sidecar has no component {name!r} of a type {kind}*; it has loaded: {there}."])
    return found
