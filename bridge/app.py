"""Puts the bridge together: settings in, a running bridge out. The only module that knows the adapters."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bridge import api, catalog, entities, events, resilience
from bridge.adapters.embedded import Embedded
from bridge.adapters.embedded.directory import held as held  # noqa: PLC0414 - for the command that starts a sidecar in the folder
from bridge.adapters.embedded.keys import key
from bridge.adapters.embedded.relay import Relay
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
from bridge.ports import Bus, Clock, Functions, Message, Store
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


async def _nothing_to_close(_: float) -> None:
    """What a world without deliveries does when it closes."""


async def _complete(_waiting: Callable[[str], None]) -> None:
    """What a world waits for whose bus brings whatever is subscribed to."""


Keep = Callable[[Message, str], Awaitable[None]]
"""Keeps a message that a bus refused for good after it had taken it, and why. Raises Unavailable."""


def _refuses_nothing(_: Keep) -> None:
    """What a bus needs that refuses nothing after it has taken it."""


@dataclass(frozen=True)
class Ports:
    """The world the bridge runs in.

    `replica` names this process in the index: no two that run at the same time have the same name. `trouble` names the parts of the
    runtime and what is wrong with each, empty if nothing. `close` takes nothing more and lets handlers go on for so many seconds.
    `give_up_to` says who keeps what the bus takes for later and then refuses for good. `complete` waits until the bus brings whatever
    handlers take, and tells what is missing. `relay` feeds a functions host beside the bridge where the bus itself cannot.
    """

    bus: Bus
    store: Store
    functions: Functions
    clock: Clock
    signing_key: bytes = field(repr=False)
    replica: str = "embedded"
    trouble: Callable[[], Mapping[str, str]] = dict
    close: Callable[[float], Awaitable[None]] = _nothing_to_close
    give_up_to: Callable[[Keep], None] = _refuses_nothing
    complete: Callable[[Callable[[str], None]], Awaitable[None]] = _complete
    relay: Relay | None = None


@contextlib.asynccontextmanager
async def open_bridge(
    settings: Settings, environ: Mapping[str, str] = os.environ, waiting: Callable[[str, str], None] = lambda _part, _why: None
) -> AsyncIterator[Bridge]:
    """A bridge that takes deliveries while the context is open. `environ` has the variables that Dapr sets.

    Raises ConfigurationError, Unavailable. In the dapr runtime a sidecar that is not there is waited for, and so are its subscriptions;
    `waiting` is told the part that is waited for and why.
    """
    plans = read_plans(settings)
    opened = _dapr(settings, plans, environ) if settings.runtime is Runtime.DAPR else _embedded(settings, plans)
    async with opened as world:
        bridge = assemble(settings, plans, world)
        handlers = bridge.pipeline.subscriptions()
        world.give_up_to(bridge.pipeline.undeliverable)
        for source, handler in handlers.items():
            await world.bus.subscribe(source, handler, concurrency=CONCURRENCY)
        if world.relay is not None:
            await world.relay.dead_letters(events.DEADLETTERS, handlers[events.DEADLETTERS], concurrency=CONCURRENCY)
        sweeping = asyncio.create_task(bridge.sweeper.run())
        try:
            await world.complete(partial(waiting, "subscriptions"))
            yield bridge
        finally:
            sweeping.cancel()
            await world.close(settings.drain.total_seconds())


@contextlib.asynccontextmanager
async def _embedded(settings: Settings, plans: Plans) -> AsyncIterator[Ports]:
    async with (
        Embedded.open(
            settings.data_dir,
            plans.entities,
            queue_limit=settings.queue_limit,
            data_limit=settings.data_limit,
            max_message=settings.max_input_bytes + ENVELOPE,
        ) as runtime,
        HttpFunctions.open(settings) as functions,
    ):
        signing_key = key(settings.data_dir, "signing.key")
        bus = runtime.bus
        yield Ports(bus, runtime.store, functions, SystemClock(), signing_key, trouble=runtime.trouble, close=bus.close)


@contextlib.asynccontextmanager
async def _dapr(settings: Settings, plans: Plans, environ: Mapping[str, str]) -> AsyncIterator[Ports]:
    from bridge.adapters.dapr import Connection, Dapr, signingkey  # noqa: PLC0415 - gRPC is for this runtime only: 14 MB, a tenth of the start
    from bridge.adapters.dapr.functions import DaprFunctions  # noqa: PLC0415 - as above

    connection, listed, largest = Connection.read(settings, environ), plans.entities, settings.max_input_bytes + ENVELOPE
    replica, work = _replica(settings, connection.app_port), _work(plans.catalog) if settings.functions else ()
    async with contextlib.AsyncExitStack() as stack:
        opening = Dapr.open(connection, listed, replica=replica, max_message=largest, topics=work, probe=events.probe())
        dapr = await stack.enter_async_context(opening)
        functions = await stack.enter_async_context(DaprFunctions.open(settings, dapr.sidecar, connection.api_token))
        relay = None
        if settings.functions:
            beside = Relay.open(settings.data_dir, listed, dapr.bus, queue_limit=settings.queue_limit, max_message=largest)
            relay = await stack.enter_async_context(beside)
            for topic in work:
                await dapr.bus.subscribe(topic, relay.take, concurrency=CONCURRENCY)
        file = settings.signing_key_file
        signing_key = signingkey.from_file(file) if file else await signingkey.from_state(dapr.store)
        trouble, close, give_up_to = dapr.health.trouble, dapr.bus.close, dapr.later.give_up_to
        complete = dapr.subscriptions.complete
        yield Ports(dapr.bus, dapr.store, functions, SystemClock(), signing_key, replica, trouble, close, give_up_to, complete, relay)


def _work(automations: Catalog) -> tuple[str, ...]:
    """The topics of all targets behind a topic."""
    targets = (target for automation in automations for target in automation.targets)
    return tuple(sorted({target.topic.name for target in targets if target.topic}))


def _replica(settings: Settings, deliveries_port: int) -> str:
    """A name that no other bridge has at the time, and that the same bridge has again after a restart, where that can be.

    Whoever has the data folder is alone with it, and whoever listens on the port is alone on its host.
    """
    if settings.replica:
        return settings.replica
    host = socket.gethostname()
    if settings.with_sidecar:
        return f"{host}-{hashlib.sha256(str(settings.data_dir.absolute()).encode()).hexdigest()[:8]}"
    return f"{host}-{deliveries_port or uuid.uuid4().hex[:8]}"


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
