"""Opens the bus and the store behind one sidecar, and monitors them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from bridge.adapters.dapr.appcallback import AppCallbackServer
from bridge.adapters.dapr.bus import DaprBus
from bridge.adapters.dapr.config import SidecarConfig
from bridge.adapters.dapr.health import Probes, SidecarHealth
from bridge.adapters.dapr.schedule_store import ScheduleStore
from bridge.adapters.dapr.scheduler import Scheduler
from bridge.adapters.dapr.sidecar import Component, SidecarClient
from bridge.adapters.dapr.state import DaprStore
from bridge.adapters.dapr.subscription_check import ExpectedSubscription, SubscriptionCheck
from bridge.adapters.dapr.subscriptions import ROUTE, SubscriptionRegistry, SubscriptionRequest
from bridge.entities import Entities
from bridge.errors import ConfigurationError
from bridge.ports import Message

_log = logging.getLogger("bridge.dapr")


@dataclass(frozen=True)
class DaprComponents:
    """The bus and the store of a sidecar, and their health."""

    bus: DaprBus
    store: DaprStore
    sidecar: SidecarClient
    health: SidecarHealth
    scheduler: Scheduler
    subscriptions: SubscriptionCheck
    app_port: int

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - each is one thing that only the caller knows
        cls,
        config: SidecarConfig,
        entities: Entities,
        *,
        replica: str,
        max_message: int,
        topics: Sequence[str] = (),
        probe: Message | None = None,
    ) -> AsyncIterator[DaprComponents]:
        """Wait for the sidecar, and use it while the context is open. No two running bridges may have the same `replica`.

        The sidecar is asked to deliver `topics` under their own names, whatever subscriptions are declared. `probe` is a message that
        changes nothing. It is published while the last publish was refused.

        Raises ConfigurationError (a component is missing, the port is in use) and Unavailable (no sidecar, no store).
        """
        problems = list(_problems(entities))
        if problems:
            raise ConfigurationError(problems)
        async with AsyncExitStack() as stack:
            if not config.app_token:
                _log.warning("APP_API_TOKEN is not set: anyone who can reach the loopback port for deliveries could forge them")
            registry = SubscriptionRegistry(frozenset({*topics, *(name for name, _ in entities.sources)}))
            requested = [SubscriptionRequest(config.bus, topic) for topic in topics]
            health = SidecarHealth()
            sidecar = await stack.enter_async_context(SidecarClient.open(config.address, config.api_token, health.observe))
            await sidecar.wait_until_ready(config.patience)
            server = AppCallbackServer.open(config.app_port, config.app_token, registry, requested)
            port = await stack.enter_async_context(server)
            await sidecar.wait_until_subscribed()
            loaded = await sidecar.components()
            store = DaprStore(sidecar, _component(loaded, config.store, "state."), health)
            scheduler = Scheduler(ScheduleStore(store, replica))
            carriers = _carriers(loaded, config, entities)
            forwarded = frozenset(its.forward_dead_lettered_messages_to or "" for _, its in entities.sources)
            bus = DaprBus(sidecar, carriers, registry, scheduler, health.bus, dead_letters=forwarded, max_message=max_message)
            stack.push_async_callback(bus.close)
            await scheduler.start(bus.publish)
            check = SubscriptionCheck(sidecar, lambda: _expected(registry.sources, carriers), port)
            probes = Probes(store.probe, store.probe_write, partial(bus.probe, probe) if probe else _nothing, check.missing)
            async with _running(health.watch(sidecar, probes)):
                yield cls(bus, store, sidecar, health, scheduler, check, port)


async def _nothing() -> None:
    """The probe of a component that has none."""


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _problems(entities: Entities) -> Iterator[str]:
    detecting = [topic.name for topic in entities.topics if topic.properties.requires_duplicate_detection]
    detecting += [queue.name for queue in entities.queues if queue.properties.requires_duplicate_detection]
    for name in detecting:
        yield f"{name}: RequiresDuplicateDetection would drop rescheduled messages, which keep their message id; set it to false."


def _carriers(loaded: Mapping[str, Component], config: SidecarConfig, entities: Entities) -> dict[str, Component]:
    """The component of each topic and queue."""
    bus = _component(loaded, config.bus, "pubsub.")
    queues = loaded.get(config.queues, bus)
    return {**{topic.name: bus for topic in entities.topics}, **{queue.name: queues for queue in entities.queues}}


def _expected(sources: Sequence[str], carriers: Mapping[str, Component]) -> list[ExpectedSubscription]:
    topics = ((source.partition("/")[0], source) for source in sources)
    return [ExpectedSubscription(carriers[topic].name, topic, f"{ROUTE}{source}") for topic, source in topics]


def _component(loaded: Mapping[str, Component], name: str, kind: str) -> Component:
    found = loaded.get(name)
    if found is None or not found.type.startswith(kind):
        there = ", ".join(f"{each.name} ({each.type})" for each in loaded.values()) or "none"
        raise ConfigurationError([f"The sidecar has no component {name!r} of a type {kind}*; it has loaded: {there}."])
    return found
