"""Builds the bridge from its settings. This is the only module that imports the adapters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import api, entities, events, telemetry
from bridge.adapters.embedded.data_directory import locked as locked  # noqa: PLC0414 - for the command that starts a sidecar
from bridge.adapters.embedded.runtime import EmbeddedRuntime
from bridge.audit import Audit
from bridge.auth import Signer
from bridge.certificates import WatchedCertificates
from bridge.context import Context
from bridge.deadletters import AllDeadLetters, BrokerDeadLetters, DeadLetters, DeadLetterSettings
from bridge.dispatch import Dispatcher
from bridge.errors import ConfigurationError
from bridge.index import Index
from bridge.intake import Intake, Rules
from bridge.metrics import measured
from bridge.metrics.meters import Meters
from bridge.pipeline import Pipeline
from bridge.plans import Plans, read_plans, uncounted
from bridge.ports import Bus, Clock, DeadLetterQueues, Functions, Handler, Outbox, Requester, Runtime
from bridge.recorder import Recorder
from bridge.recovery import Recovery
from bridge.run import Status
from bridge.runs import RunStore
from bridge.runs.sweeper import Sweeper
from bridge.service import BridgeService
from bridge.settings import RuntimeName, ServiceBusNamespace, Settings
from bridge.settings.exporting import Exports, exports
from bridge.settings.values import AROUND_EVENT
from bridge.steadytime import SteadyTime
from bridge.targets.bus import BusTargets
from bridge.targets.http import HttpTargets
from bridge.targets.unserved import UnservedTargets
from bridge.targets.waits import Waits
from bridge.tracing import Tracer
from bridge.validation import Validation

if TYPE_CHECKING:
    from bridge.adapters.embedded.servicebus import Namespace

#: The most bytes that an event may have beyond its data.
ENVELOPE = 128 * 1024
#: How many deliveries of one subscription are handled at a time. Targets have limits of their own.
CONCURRENCY = 256
#: Seconds between two looks for targets that nobody serves. A functions host beside the bridge has started by the first.
UNSERVED_EVERY = 30.0
_log = logging.getLogger("bridge")


class SystemClock:
    """Implements `ports.Clock` with the time of the machine."""

    def __init__(self) -> None:
        self._steady = SteadyTime()

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def steady(self) -> datetime:
        """The time in UTC that does not change when the wall clock is set."""
        return datetime.fromtimestamp(self._steady.now(), UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    services: api.Services
    pipeline: Pipeline
    sweeper: Sweeper
    validation: Validation
    recovery: Recovery


@contextlib.asynccontextmanager
async def open_bridge(
    settings: Settings, environ: Mapping[str, str] = os.environ, waiting: Callable[[str, str], None] = lambda _component, _why: None
) -> AsyncIterator[Bridge]:
    """A bridge that handles deliveries while the context is open. `environ` has the variables that Dapr sets.

    In the dapr runtime this waits for the sidecar and its subscriptions, and calls `waiting` with the component that is missing and the
    reason. Raises ConfigurationError or Unavailable.
    """
    plans, exported = read_plans(settings), exports(environ)
    meters = Meters(settings.runtime) if exported.metrics is not None else None
    async with (
        _exporting(exported, meters) as tracer,
        _opened(settings, plans, environ) as runtime,
        _broker(settings, plans, runtime) as queues,
    ):
        bridge = assemble(settings, plans, runtime, queues=queues, tracer=tracer, meters=meters)
        telemetry.start_counting((each.name for each in plans.catalog), (each for each in Status if each.final))
        for warning in uncounted(plans.catalog, settings):
            _log.warning(warning)
        runtime.dead_letter_to(bridge.pipeline.undeliverable)
        background = [asyncio.create_task(bridge.sweeper.run()), asyncio.create_task(_tell_unserved(bridge.services.unserved))]
        if meters is not None:
            background.append(asyncio.create_task(bridge.services.certificates.keep_fresh()))
        try:
            await runtime.start(_handlers(bridge, meters), CONCURRENCY, partial(waiting, "subscriptions"))
            # A bus in the same file brings at once what was in hand.
            if runtime.store.shared:
                bridge.recovery.start()
            yield bridge
        finally:
            for task in background:
                task.cancel()
            patience = settings.drain.total_seconds()
            await asyncio.gather(runtime.close(patience), bridge.recovery.stop(patience), bridge.services.deadletters.close())
            await bridge.validation.close()


async def _tell_unserved(targets: UnservedTargets) -> None:
    """Log the targets without a receiver: those behind topics at once, those over HTTP once their host had time to start, and changes."""
    told = {f"{name}: {reason}" for name, reason in targets.behind_topics.items()}
    for line in told:
        _log.warning("nobody serves %s", line)
    while True:
        await asyncio.sleep(UNSERVED_EVERY)
        found = {f"{name}: {reason}" for name, reason in targets.all().items()}
        for line in sorted(found - told):
            _log.warning("nobody serves %s", line)
        told = found


def _opened(settings: Settings, plans: Plans, environ: Mapping[str, str]) -> contextlib.AbstractAsyncContextManager[Runtime]:
    """The runtime that the settings name."""
    largest = _largest(settings)
    if settings.runtime is RuntimeName.EMBEDDED:
        return EmbeddedRuntime.open(settings, plans.entities, max_message=largest, dead_letters=events.DEADLETTERS)
    from bridge.adapters.dapr import DaprRuntime  # noqa: PLC0415 - gRPC is for this runtime only: 14 MB, a tenth of the start

    return DaprRuntime.open(
        settings,
        plans.catalog,
        plans.entities,
        environ,
        max_message=largest,
        probe=events.probe(),
        dead_letters=events.DEADLETTERS,
    )


def _largest(settings: Settings) -> int:
    """The largest body of a message in bytes: what the bus may have accepted, or else room for every input, output and reply."""
    if settings.max_event_bytes is not None:
        return settings.max_event_bytes + AROUND_EVENT
    return max(settings.max_input_bytes, settings.max_output_bytes, events.MAX_REPLY) + ENVELOPE


@contextlib.asynccontextmanager
async def _exporting(exported: Exports, meters: Meters | None) -> AsyncIterator[Tracer | None]:
    """What starts spans; None unless they are exported. If metrics are exported, those of `meters` and of /metrics are.

    Raises ConfigurationError.
    """
    if not exported.spans and meters is None:
        yield None
        return
    try:
        from bridge.adapters import otelexport  # noqa: PLC0415 - a bridge without telemetry does not need the libraries, and starts faster
    except ImportError as fault:
        missing = f"telemetry cannot be exported, because {fault.name} is not installed: pip install 'automation-bridge[otel]'"
        raise ConfigurationError([f"{missing}, or set OTEL_SDK_DISABLED=true"]) from None
    registries = [telemetry.REGISTRY, *([meters.registry] if meters is not None else [])]
    async with otelexport.exporting(exported, registries) as tracer:
        yield tracer


def _handlers(bridge: Bridge, meters: Meters | None) -> Mapping[str, Handler]:
    """The handler of each subscription, measured if metrics are exported."""
    handlers = bridge.pipeline.subscriptions()
    if meters is None:
        return handlers
    return {source: measured.handling(handler, source, meters) for source, handler in handlers.items()}


@contextlib.asynccontextmanager
async def _broker(settings: Settings, plans: Plans, runtime: Runtime) -> AsyncIterator[DeadLetterQueues | None]:
    """The dead-letter queues of the Service Bus namespace in the settings, or else those of the runtime. Raises ConfigurationError."""
    if settings.servicebus is None:
        yield runtime.dead_letter_queues
        return
    from bridge.adapters.servicebus import AzureDeadLetters  # noqa: PLC0415 - a bridge without a namespace starts faster

    async with AzureDeadLetters.open(settings.servicebus, plans.entities) as queues:
        yield queues


def assemble(  # noqa: PLR0913 - what the bridge is made of
    settings: Settings,
    plans: Plans,
    runtime: Runtime,
    clock: Clock | None = None,
    *,
    queues: DeadLetterQueues | None = None,
    tracer: Tracer | None = None,
    meters: Meters | None = None,
) -> Bridge:
    """Wire the services to the runtime.

    `queues` are the dead-letter queues of the broker, `tracer` starts spans, and `meters` count for an export.
    """
    bus, outbox, functions = _measured(runtime, meters)
    store, clock = runtime.store, clock or SystemClock()
    keep = settings.retention + timedelta(days=1)
    index, dead_letter_index, replies = (
        Index(store, clock, name=name, replica=runtime.replica, keep=keep) for name in ("index", "letters", "replies")
    )
    runs = RunStore(store, bus, index, clock, outbox)
    deadletters = DeadLetters(store, bus, dead_letter_index, clock, DeadLetterSettings(keep, lease=settings.dispatch_lease))
    context = Context(bus, clock, runs, deadletters, Signer(runtime.signing_key), settings, tracer)
    recorder = Recorder(context, replies)
    http_targets = HttpTargets(context, functions, plans.policies, recorder)
    bus_targets = BusTargets(context, recorder)
    dispatcher = Dispatcher(context, http_targets, bus_targets)
    validation = Validation()
    intake = Intake(context, Rules(plans.catalog, settings.reply_topics, settings.default_reply_topic), dispatcher, validation)

    pipeline = Pipeline(
        context, intake=intake, dispatcher=dispatcher, http_targets=http_targets, bus_targets=bus_targets, recorder=recorder
    )

    async def ready() -> Mapping[str, str]:
        return {"store": "has no room; raise data_limit or shorten retention" if store.is_full else "", **runtime.trouble()}

    broker = BrokerDeadLetters(queues, deadletters, clock, intake.secret_paths) if queues is not None else None
    audit = Audit(runs, index, replies, deadletters, clock)
    nobody_serves = UnservedTargets(plans.catalog, plans.entities, functions)
    services = api.Services(
        BridgeService(context, intake, index),
        AllDeadLetters(deadletters, broker),
        audit,
        plans.catalog,
        plans.policies,
        settings,
        ready,
        Waits(context, http_targets, nobody_serves),
        nobody_serves,
        tracer,
        meters,
        WatchedCertificates(settings.certificates),
    )
    recovery = Recovery(context, index, pipeline.subscriptions()[f"{events.INVOCATIONS}/bridge"])
    sweeper = Sweeper(index, runs, bus, clock, every=settings.sweep_every)
    return Bridge(services, pipeline, sweeper, validation, recovery)


def _measured(runtime: Runtime, meters: Meters | None) -> tuple[Bus, Outbox | None, Functions]:
    """Wraps the bus and the calls of functions so that they are measured."""
    if meters is None:
        return runtime.bus, runtime.outbox, runtime.functions
    outbox = measured.MeasuredOutbox(runtime.outbox, meters) if runtime.outbox is not None else None
    return measured.MeasuredBus(runtime.bus, meters), outbox, measured.MeasuredFunctions(runtime.functions, meters)


@contextlib.asynccontextmanager
async def open_namespace(  # noqa: PLR0913 - what the command was given
    file: Path, data_dir: Path, *, host: str, port: int, tls: bool, max_message: int, queue_limit: int
) -> AsyncIterator[Namespace]:
    """The embedded queue alone, as a Service Bus namespace with the entities of a file. Raises ConfigurationError.

    `max_message` is in bytes, `queue_limit` in messages of one queue.
    """
    from bridge.adapters.embedded import servicebus  # noqa: PLC0415 - a bridge without it starts faster

    where, known = servicebus.Listener(port, host, tls), entities.load(file)
    async with servicebus.namespace(data_dir, known, where, queue_limit=queue_limit, max_message=max_message) as found:
        yield found


@contextlib.asynccontextmanager
async def open_requester(where: ServiceBusNamespace, requests: str, replies: str) -> AsyncIterator[Requester]:
    """Requests automations over a namespace, on the topic `requests`. Replies arrive on `topic/subscription`. Raises ConfigurationError."""
    from bridge.adapters.servicebus import AzureRequester  # noqa: PLC0415 - a bridge without a namespace starts faster

    async with AzureRequester.open(where, requests, replies) as requester:
        yield requester


def open_functions(settings: Settings) -> contextlib.AbstractAsyncContextManager[Functions]:
    """The function apps of the settings alone, which are called over HTTP as a bridge calls them."""
    from bridge.adapters.functions import HttpFunctions  # noqa: PLC0415 - as above

    return HttpFunctions.open(settings)
