"""Puts the bridge together: settings in, a running bridge out. The only module that knows the adapters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from bridge import api, catalog, entities, events, resilience, telemetry
from bridge.adapters.embedded import Embedded
from bridge.adapters.embedded.keys import key
from bridge.adapters.functions import HttpFunctions
from bridge.calls import Calls
from bridge.catalog import Catalog
from bridge.deadletters import DeadLetters
from bridge.doors import Doors
from bridge.entities import Entities
from bridge.errors import ConfigurationError
from bridge.identity import Signer
from bridge.index import Index
from bridge.pipeline import Parts, Pipeline
from bridge.replies import Replies
from bridge.request import Rules
from bridge.resilience import Policies
from bridge.results import Results
from bridge.settings import Runtime, Settings
from bridge.sweeper import Sweeper

#: Deliveries of one subscription that are handled at a time; targets have limits of their own.
CONCURRENCY = 256

_log = logging.getLogger("bridge")


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
                max_message=settings.max_input_bytes + 64 * 1024,
            )
        )
        functions = await stack.enter_async_context(HttpFunctions.open(settings))
        bridge = assemble(settings, plans, runtime, functions)
        for source, handler in bridge.pipeline.subscriptions().items():
            await runtime.bus.subscribe(source, handler, concurrency=CONCURRENCY)
        sweeping = asyncio.create_task(bridge.sweeper.run())
        try:
            yield bridge
        finally:
            sweeping.cancel()
            runtime.bus.drain()
            await runtime.bus.close(settings.drain.total_seconds())


def assemble(settings: Settings, plans: Plans, runtime: Any, functions: Any) -> Bridge:
    """Wire the services to the ports."""
    clock = SystemClock()
    keep = settings.retention + timedelta(days=1)
    index = Index(runtime.store, clock, name="index", replica="embedded", keep=keep)
    letters = Index(runtime.store, clock, name="letters", replica="embedded", keep=keep)
    results = Results(runtime.store, index, clock)
    deadletters = DeadLetters(runtime.store, runtime.bus, letters, clock, keep=keep)
    parts = Parts(
        bus=runtime.bus,
        clock=clock,
        results=results,
        replies=Replies(runtime.bus, deadletters, public_url=settings.public_url or ""),
        deadletters=deadletters,
        calls=Calls(functions, plans.policies, clock, settings),
        rules=Rules(plans.catalog, settings.reply_topics, settings.default_reply_topic),
        signer=Signer(key(settings.data_dir, "signing.key")),
        settings=settings,
    )

    async def ready() -> Mapping[str, str]:
        return {"store": "over its size limit; see data_limit" if runtime.store.is_full else ""}

    services = api.Services(Doors(parts, index), deadletters, plans.catalog, settings, ready)
    return Bridge(services, Pipeline(parts), Sweeper(index, results, runtime.bus, clock, every=settings.sweep_every))


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: `serve` has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT, then drain. `on_ready` gets the URL once requests are taken. Raises ConfigurationError."""
    telemetry.setup(level=settings.log_level, form=settings.log_format)
    with _bound(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        settings = settings.model_copy(update={"public_url": settings.public_url or url})
        async with open_bridge(settings) as bridge:
            application = api.create(bridge.services, _names(settings))
            config = uvicorn.Config(
                application,
                loop="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, int(settings.drain.total_seconds())),
            )
            server = _Server(config)
            stop = _on_signal()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            # What has been loaded stays: the collector need not look at it again, nor run every 700 new objects.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            on_ready(url)
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving


def _on_signal() -> asyncio.Task[bool]:
    """A task that ends with the first SIGTERM or SIGINT; the second one ends the process."""
    loop, wanted = asyncio.get_running_loop(), asyncio.Event()

    def asked(number: signal.Signals) -> None:
        if wanted.is_set():
            os._exit(128 + number)
        wanted.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    return asyncio.create_task(wanted.wait())


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as fault:
            raise ConfigurationError(
                [f"cannot listen on {settings.host}:{settings.port}: {fault.strerror}. Choose another --port."]
            ) from None
        listener.listen(1024)
        listener.setblocking(False)
        yield listener


def _names(settings: Settings) -> frozenset[str]:
    """The names under which the API answers without tokens."""
    names = {settings.host, "localhost", urlsplit(settings.public_url or "").hostname or "localhost"}
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(settings.host).is_loopback:
            names |= {"127.0.0.1", "::1"}
    return frozenset(names)
