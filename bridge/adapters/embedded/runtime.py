"""The embedded runtime behind the interface that every runtime has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from bridge.adapters.embedded import Embedded
from bridge.adapters.embedded.deadletters import EmbeddedDeadLetters
from bridge.adapters.embedded.keys import key
from bridge.adapters.functions import HttpFunctions
from bridge.entities import Entities
from bridge.errors import ConfigurationError, Undeliverable
from bridge.ports import Functions, Handler, Keep
from bridge.settings import Settings


def _service_bus(embedded: Embedded, settings: Settings, max_message: int) -> AbstractAsyncContextManager[object]:
    """The port for Service Bus clients, if the settings ask for one or the functions beside the bridge need it."""
    if settings.servicebus_port is None and not settings.feeds_functions:
        return nullcontext()
    from bridge.adapters.embedded import servicebus  # noqa: PLC0415 - a bridge without the port starts faster

    where = servicebus.Listener(settings.servicebus_port or 0, settings.servicebus_host, settings.servicebus_tls)
    return servicebus.serving(embedded.broker, settings.data_dir, where, max_message=max_message)


class EmbeddedRuntime:
    """Implements `ports.Runtime`: one process and one file."""

    replica = "embedded"

    def __init__(self, embedded: Embedded, entities: Entities, functions: Functions, signing_key: bytes) -> None:
        self.bus, self.store, self.outbox = embedded.bus, embedded.store, embedded.outbox
        self.functions, self.signing_key = functions, signing_key
        self._embedded = embedded
        self.dead_letter_queues = EmbeddedDeadLetters(embedded.broker, entities, embedded.bus.rulebook.selecting)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, entities: Entities, *, max_message: int, dead_letters: str = ""
    ) -> AsyncIterator[EmbeddedRuntime]:
        """Open the data directory that the settings name. `max_message` is the largest message in bytes, `dead_letters` the bridge's queue.

        Raises ConfigurationError if it cannot be used.
        """
        async with (
            Embedded.open(
                settings.data_dir,
                entities,
                queue_limit=settings.queue_limit,
                data_limit=settings.data_limit,
                max_message=max_message,
                crashed_to=dead_letters,
            ) as embedded,
            HttpFunctions.open(settings) as functions,
            _service_bus(embedded, settings, max_message),
        ):
            yield cls(embedded, entities, functions, key(settings.data_dir, "signing.key"))

    def trouble(self) -> Mapping[str, str]:
        """The trouble with the disk under the name `disk`; its text is empty if there is none."""
        return self._embedded.trouble()

    def dead_letter_to(self, keep: Keep) -> None:
        """Not needed: this bus refuses no message after it has accepted it."""

    async def start(self, handlers: Mapping[str, Handler], concurrency: int, _waiting: Callable[[str], None]) -> None:
        """Start to deliver to the handlers, with `concurrency` deliveries of each queue at a time.

        Raises ConfigurationError if a queue is missing, or requires sessions.
        """
        for source, handler in handlers.items():
            try:
                await self.bus.subscribe(source, handler, concurrency=concurrency)
            except Undeliverable as fault:
                raise ConfigurationError([f"The bridge cannot receive from {source}: {fault}"]) from None

    async def close(self, patience: float) -> None:
        """Deliver nothing more, wait up to `patience` seconds for handlers and cancel the rest; their messages stay stored."""
        await self.bus.close(patience)
