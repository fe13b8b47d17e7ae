"""The dapr runtime: the bus, the store and the functions behind one sidecar."""

from __future__ import annotations

import hashlib
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bridge.adapters.dapr import signingkey
from bridge.adapters.dapr.components import DaprComponents
from bridge.adapters.dapr.config import SidecarConfig
from bridge.adapters.dapr.functions import DaprFunctions
from bridge.adapters.embedded.relay import Relay
from bridge.adapters.embedded.servicebus import Listener
from bridge.catalog import Catalog
from bridge.entities import Entities
from bridge.ports import Bus, Functions, Handler, Keep, Message, Store
from bridge.settings import Settings

CONCURRENCY = 256  #: deliveries of one topic that the relay stores at a time


@dataclass(frozen=True)
class DaprRuntime:
    """Implements `ports.Runtime` with a sidecar.

    `relay` passes work on to a local functions host, which cannot read the bus itself. `replica` names this process; no two running
    processes have the same name.
    """

    bus: Bus
    store: Store
    functions: Functions
    signing_key: bytes = field(repr=False)
    replica: str
    relay: Relay | None
    components: DaprComponents
    dead_letters: str
    outbox: None = None  #: Dapr's own outbox cannot compare ETags
    dead_letter_queues: None = None  #: Dapr does not give access to them

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - each is one thing that only the caller knows
        cls,
        settings: Settings,
        catalog: Catalog,
        entities: Entities,
        environ: Mapping[str, str],
        *,
        max_message: int,
        probe: Message,
        dead_letters: str,
    ) -> AsyncIterator[DaprRuntime]:
        """The runtime, while the context is open. `environ` has the variables that Dapr sets. Waits for a sidecar that is not up yet.

        `max_message` is in bytes. `probe` is a message that changes nothing, and `dead_letters` is the queue of forwarded dead letters.

        Raises ConfigurationError and Unavailable.
        """
        config = SidecarConfig.read(settings, environ)
        replica, work = _replica(settings, config.app_port), _work_topics(catalog) if settings.feeds_functions else ()
        async with AsyncExitStack() as stack:
            opening = DaprComponents.open(config, entities, replica=replica, max_message=max_message, topics=work, probe=probe)
            components = await stack.enter_async_context(opening)
            functions = await stack.enter_async_context(DaprFunctions.open(settings, components.sidecar, config.api_token))
            relay = None
            if settings.feeds_functions:
                bus, limit = components.bus, settings.queue_limit
                where = Listener(settings.servicebus_port or 0, settings.servicebus_host, settings.servicebus_tls)
                opened = Relay.open(settings.data_dir, entities, bus, where, queue_limit=limit, max_message=max_message)
                relay = await stack.enter_async_context(opened)
                for topic in work:
                    await bus.subscribe(topic, relay.take, concurrency=CONCURRENCY)
            file = settings.signing_key_file
            signing_key = signingkey.from_file(file) if file else await signingkey.from_state(components.store)
            yield cls(components.bus, components.store, functions, signing_key, replica, relay, components, dead_letters)

    def trouble(self) -> Mapping[str, str]:
        """What is wrong with `sidecar`, `store`, `bus` and `subscriptions`; empty for a healthy component."""
        return self.components.health.trouble()

    async def start(self, handlers: Mapping[str, Handler], concurrency: int, waiting: Callable[[str], None]) -> None:
        """Subscribe the handlers, and wait until the sidecar delivers to them. `waiting` is told what is missing.

        Dead letters of local functions arrive from the relay, too. Raises ConfigurationError.
        """
        for source, handler in handlers.items():
            await self.bus.subscribe(source, handler, concurrency=concurrency)
            if self.relay is not None and source == self.dead_letters:
                await self.relay.dead_letters(source, handler, concurrency=concurrency)
        await self.components.subscriptions.complete(waiting)

    def dead_letter_to(self, keep: Keep) -> None:
        """Pass to `keep` what the bus permanently refuses when it is due, and what the relay can never store."""
        self.components.scheduler.dead_letter_to(keep)
        if self.relay is not None:
            self.relay.dead_letter_to(keep)

    async def close(self, patience: float) -> None:
        """Accept no more messages, and give handlers `patience` seconds. The messages of the others stay on the bus."""
        await self.components.bus.close(patience)


def _work_topics(catalog: Catalog) -> tuple[str, ...]:
    """The topics and queues of all bus targets."""
    targets = (target for automation in catalog for target in automation.targets)
    return tuple(sorted({target.bus.name for target in targets if target.bus}))


def _replica(settings: Settings, deliveries_port: int) -> str:
    """A name that no other running bridge has, and that the same bridge has again after a restart, if possible.

    Only one bridge can use a data folder, and only one can listen on a port of a host.
    """
    if settings.replica:
        return settings.replica
    host = socket.gethostname()
    if settings.with_sidecar:
        return f"{host}-{hashlib.sha256(str(settings.data_dir.absolute()).encode()).hexdigest()[:8]}"
    return f"{host}-{deliveries_port or uuid.uuid4().hex[:8]}"
