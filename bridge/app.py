"""Puts the bridge together: settings in, a running bridge out. The only module that knows the adapters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge import api, catalog, entities, events, resilience
from bridge.adapters.embedded import Embedded
from bridge.adapters.embedded.keys import key
from bridge.adapters.functions import HttpFunctions
from bridge.audit import Audit
from bridge.calls import Calls
from bridge.catalog import Catalog
from bridge.deadletters import DeadLetters, Terms
from bridge.doors import Doors
from bridge.entities import Entities
from bridge.errors import ConfigurationError
from bridge.identity import Signer
from bridge.index import Index
from bridge.parts import Parts
from bridge.pipeline import Pipeline
from bridge.ports import Bus, Clock, Functions, Store
from bridge.replies import Replies
from bridge.request import Rules
from bridge.resilience import Policies
from bridge.results import Results
from bridge.settings import Runtime, Settings
from bridge.sweeper import Sweeper

#: What an event may have beyond its data, in bytes.
ENVELOPE = 64 * 1024
#: Deliveries of one subscription that are handled at a time; targets have limits of their own.
CONCURRENCY = 256


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Plans:
    """What the configuration files say."""

    catalog: Catalog
    policies: Policies
    entities: Entities


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    services: api.Services
    pipeline: Pipeline
    sweeper: Sweeper


def read_plans(settings: Settings) -> Plans:
    """Read catalogue, policies and entities. Raises ConfigurationError with the problems of all of them."""
    problems: list[str] = []

    def read(load: Callable[[Path], Any], path: Path) -> Any:
        try:
            return load(path)
        except ConfigurationError as fault:
            problems.extend(fault.problems)
            return None

    plans = Plans(
        read(catalog.load, settings.catalogue), read(resilience.load, settings.resiliency), read(entities.load, settings.entities)
    )
    if not problems:
        problems = list(_mismatches(plans, settings))
    if problems:
        raise ConfigurationError(problems)
    return plans


def _mismatches(plans: Plans, settings: Settings) -> Iterator[str]:
    """What each file allows by itself and the others do not."""
    topics = set(plans.entities.names)
    for automation in plans.catalog:
        for target in automation.targets:
            if target.topic and target.topic.name not in topics:
                yield (
                    f"{settings.catalogue} ({automation.name}), target {target.name}: the topic {target.topic.name!r} "
                    f"is not in {settings.entities}; add it there or correct the name"
                )
    for topic in (events.REQUESTS, events.INVOCATIONS, events.RESULTS, events.TIMERS, events.DEADLETTERS, *settings.reply_topics):
        if topic not in topics:
            yield f"{settings.entities}: {topic!r} is missing; the bridge needs it"
    if settings.default_reply_topic not in settings.reply_topics:
        yield f"default_reply_topic {settings.default_reply_topic!r} is not one of reply_topics {list(settings.reply_topics)}; add it there"


@dataclass(frozen=True)
class Ports:
    """The world the bridge runs in.

    `replica` names this process in the index: no two that run at the same time have the same name. `trouble` names the parts of the
    runtime and what is wrong with each, empty if nothing.
    """

    bus: Bus
    store: Store
    functions: Functions
    clock: Clock
    signing_key: bytes = field(repr=False)
    replica: str = "embedded"
    trouble: Callable[[], Mapping[str, str]] = dict


@contextlib.asynccontextmanager
async def open_bridge(settings: Settings) -> AsyncIterator[Bridge]:
    """A bridge that takes deliveries while the context is open. Raises ConfigurationError, Unavailable."""
    if settings.runtime is Runtime.DAPR:
        raise ConfigurationError(["runtime dapr is not available in this version; use --runtime embedded"])
    plans = read_plans(settings)
    async with contextlib.AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(
            Embedded.open(
                settings.data_dir,
                plans.entities,
                queue_limit=settings.queue_limit,
                data_limit=settings.data_limit,
                max_message=settings.max_input_bytes + ENVELOPE,
            )
        )
        functions = await stack.enter_async_context(HttpFunctions.open(settings))
        signing_key = key(settings.data_dir, "signing.key")
        bridge = assemble(
            settings, plans, Ports(runtime.bus, runtime.store, functions, SystemClock(), signing_key, trouble=runtime.trouble)
        )
        for source, handler in bridge.pipeline.subscriptions().items():
            await runtime.bus.subscribe(source, handler, concurrency=CONCURRENCY)
        sweeping = asyncio.create_task(bridge.sweeper.run())
        try:
            yield bridge
        finally:
            sweeping.cancel()
            await runtime.bus.close(settings.drain.total_seconds())


def assemble(settings: Settings, plans: Plans, ports: Ports) -> Bridge:
    """Wire the services to the ports."""
    bus, store, clock = ports.bus, ports.store, ports.clock
    keep = settings.retention + timedelta(days=1)
    index = Index(store, clock, name="index", replica=ports.replica, keep=keep)
    letters = Index(store, clock, name="letters", replica=ports.replica, keep=keep)
    sent = Index(store, clock, name="replies", replica=ports.replica, keep=keep)
    results = Results(store, index, clock)
    deadletters = DeadLetters(store, bus, letters, clock, Terms(keep, lease=settings.dispatch_lease))
    parts = Parts(
        bus=bus,
        clock=clock,
        results=results,
        replies=Replies(bus, deadletters, sent, clock, public_url=settings.public_url or ""),
        deadletters=deadletters,
        calls=Calls(ports.functions, plans.policies, clock, settings),
        rules=Rules(plans.catalog, settings.reply_topics, settings.default_reply_topic),
        signer=Signer(ports.signing_key),
        settings=settings,
    )

    async def ready() -> Mapping[str, str]:
        return {"store": "has no room; raise data_limit or shorten retention" if store.is_full else "", **ports.trouble()}

    audit = Audit(results, index, sent, deadletters, clock)
    services = api.Services(Doors(parts, index), deadletters, audit, plans.catalog, settings, ready)
    return Bridge(services, Pipeline(parts), Sweeper(index, results, bus, clock, every=settings.sweep_every))
