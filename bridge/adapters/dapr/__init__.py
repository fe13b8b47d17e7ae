"""The dapr runtime: bus and store are components of a Dapr sidecar, reached over its HTTP API on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bridge.adapters.dapr.bus import DaprBus
from bridge.adapters.dapr.deliveries import Deliveries
from bridge.adapters.dapr.held import Held
from bridge.adapters.dapr.later import Later
from bridge.adapters.dapr.sidecar import Component, Sidecar
from bridge.adapters.dapr.state import State
from bridge.entities import Entities
from bridge.errors import ConfigurationError


@dataclass(frozen=True)
class Connection:
    """Where the sidecar is, where it brings messages, and the names of the components to use.

    `queues` carries what is a queue and no topic; where no component has that name (only Service Bus needs one), `bus` does.
    """

    address: str  #: such as http://127.0.0.1:3500
    app_port: int  #: where the sidecar brings messages (its --app-port); 0 takes a free one
    app_token: str = field(repr=False)  #: what the sidecar must show there (its APP_API_TOKEN)
    api_token: str = field(default="", repr=False)  #: what it wants to be shown (its DAPR_API_TOKEN)
    bus: str = "bus"
    queues: str = "queues"
    store: str = "store"
    patience: float = 60.0  #: seconds to wait for it at the start


@dataclass(frozen=True)
class Dapr:
    """What the bridge needs, behind a sidecar."""

    bus: DaprBus
    store: State
    app_port: int

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, entities: Entities, *, replica: str, max_message: int) -> AsyncIterator[Dapr]:
        """Wait for the sidecar and use it while the context is open. `replica`: no two bridges that run at a time have the same name.

        Raises ConfigurationError (no token, a component is missing, the port is taken) and Unavailable (no sidecar, no store).
        """
        problems = list(_unusable(connection, entities))
        if problems:
            raise ConfigurationError(problems)
        async with AsyncExitStack() as stack:
            names = frozenset(name for name, _ in entities.sources)
            deliveries = await stack.enter_async_context(Deliveries.open(connection.app_port, connection.app_token, names))
            sidecar = await stack.enter_async_context(Sidecar.open(connection.address, connection.api_token))
            await sidecar.ready(connection.patience)
            loaded = await sidecar.components()
            store = State(sidecar, _component(loaded, connection.store, "state."))
            later = Later(Held(store, replica))
            carriers = _carriers(loaded, connection, entities)
            forwarded = frozenset(its.forward_dead_lettered_messages_to or "" for _, its in entities.sources)
            bus = DaprBus(sidecar, carriers, deliveries, later, dead_letters=forwarded, max_message=max_message)
            stack.push_async_callback(bus.close)
            await later.start(bus.publish)
            yield cls(bus, store, deliveries.port)


def _unusable(connection: Connection, entities: Entities) -> Iterator[str]:
    if not connection.app_token:
        yield "APP_API_TOKEN is not set: whoever reaches the port for deliveries could forge them; give the sidecar and the bridge one."
    detecting = [topic.name for topic in entities.topics if topic.properties.requires_duplicate_detection]
    detecting += [queue.name for queue in entities.queues if queue.properties.requires_duplicate_detection]
    for name in detecting:
        yield f"{name}: RequiresDuplicateDetection would drop what is put off, as it keeps its message id; set it to false."


def _carriers(loaded: Mapping[str, Component], connection: Connection, entities: Entities) -> dict[str, Component]:
    """The component of each topic and queue."""
    bus = _component(loaded, connection.bus, "pubsub.")
    queues = loaded.get(connection.queues, bus)
    return {**{topic.name: bus for topic in entities.topics}, **{queue.name: queues for queue in entities.queues}}


def _component(loaded: Mapping[str, Component], name: str, kind: str) -> Component:
    found = loaded.get(name)
    if found is None or not found.type.startswith(kind):
        there = ", ".join(f"{each.name} ({each.type})" for each in loaded.values()) or "none"
        raise ConfigurationError([f"The sidecar has no component {name!r} of a type {kind}*; it has loaded: {there}."])
    return found
