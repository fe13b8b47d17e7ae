"""The bus behind the sidecar. Messages are published through Dapr's API and arrive through the registry of subscriptions.

Bodies are sent as `rawPayload` in both directions. Without it the sidecar would parse each event, with all numbers as floating-point, and
write it again. What it cannot parse as an event would never arrive here, where it becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from pydantic_core import to_json

from bridge.adapters.dapr.availability import Availability
from bridge.adapters.dapr.batching import Batcher
from bridge.adapters.dapr.errors import SidecarError, publish_error
from bridge.adapters.dapr.metadata import is_service_bus, to_metadata
from bridge.adapters.dapr.scheduler import Scheduler
from bridge.adapters.dapr.sidecar import Component, SidecarClient
from bridge.adapters.dapr.subscriptions import SubscriptionRegistry
from bridge.errors import PortError, Undeliverable
from bridge.ports import Handler, Message


class DaprBus:
    """Implements `ports.Bus`. `components` maps each topic and queue to its component; other names are refused.

    `max_message` is the largest body in bytes. `dead_letters` are the sources to which a broker forwards its dead letters. `availability`
    says whether anything may be published at the moment.
    """

    def __init__(  # noqa: PLR0913 - each is one neighbour
        self,
        sidecar: SidecarClient,
        components: Mapping[str, Component],
        registry: SubscriptionRegistry,
        scheduler: Scheduler,
        availability: Availability | None = None,
        *,
        dead_letters: frozenset[str],
        max_message: int,
    ) -> None:
        self._sidecar, self._components, self._registry, self._scheduler = sidecar, components, registry, scheduler
        self._availability, self._dead_letters = availability or Availability("bus"), dead_letters
        self._max_message = max_message
        self._topics: dict[str, Batcher[Message, None]] = {topic: Batcher(partial(self._send, topic), size=_size) for topic in components}

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages. Each is stored durably when this returns.

        Raises Full or Unavailable (some may have been stored) and Undeliverable (unknown topic, message too large).
        """
        for message in messages:
            self._check(message)
        now = datetime.now(UTC)
        publishing = [
            self._scheduler.schedule(message) if self._must_be_scheduled(message, now) else self._topics[message.topic].submit(message)
            for message in messages
        ]
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        # What may pass comes first: told that all was refused for good, the caller would not send the rest again.
        for error in sorted(errors, key=lambda each: isinstance(each, Undeliverable)):
            raise error

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Pass every message of `source` to `handler`. Raises Undeliverable if there is no such queue or subscription."""
        component = self._components.get(source.partition("/")[0])
        dead_letters = component is not None and is_service_bus(component) and source in self._dead_letters
        self._registry.register(source, handler, concurrency=concurrency, dead_letters=dead_letters)

    async def close(self, patience: float = 0) -> None:
        """Accept no more messages, give handlers `patience` seconds, and cancel the rest. Their messages stay on the bus."""
        await self._registry.close(patience)
        await self._scheduler.close()

    async def probe(self, message: Message) -> None:
        """Publish a message in a request of its own, even if the bus is known to be down. Raises PortError."""
        for error in await self._send_now(message.topic, [message]):
            if error is not None:
                raise error

    def _check(self, message: Message) -> None:
        if message.topic not in self._components:
            raise Undeliverable(f"There is no topic {message.topic!r}.", hint="Add it to the entities file, or correct the name.")
        if len(message.body) > self._max_message:
            raise Undeliverable(
                f"A message of {len(message.body)} bytes is too large; {self._max_message} are allowed.", hint="Send a smaller message."
            )

    def _must_be_scheduled(self, message: Message, now: datetime) -> bool:
        return message.deliver_at is not None and message.deliver_at > now and not is_service_bus(self._components[message.topic])

    async def _send(self, topic: str, messages: Sequence[Message]) -> list[PortError | None]:
        async with self._availability.required():
            return await self._send_now(topic, messages)

    async def _send_now(self, topic: str, messages: Sequence[Message]) -> list[PortError | None]:
        component, now = self._components[topic], datetime.now(UTC)
        metadata = [to_metadata(message, component, now) for message in messages]
        if len(messages) == 1:
            query = {f"metadata.{name}": value for name, value in metadata[0].items()}
            answer = await self._sidecar.post(
                f"publish/{component.name}/{topic}", messages[0].body, content_type="application/octet-stream", query=query
            )
            return [publish_error(answer) if isinstance(answer, SidecarError) else None]
        entries = [_entry(number, message, each) for number, (message, each) in enumerate(zip(messages, metadata, strict=True))]
        path = f"publish/bulk/{component.name}/{topic}?metadata.rawPayload=true"
        answer = await self._sidecar.post(path, to_json(entries), content_type="application/json")
        if not isinstance(answer, SidecarError):
            return [None] * len(messages)
        return _outcomes(answer, len(messages))


def _size(message: Message) -> int:
    return len(message.body) + 1024


def _entry(number: int, message: Message, metadata: Mapping[str, str]) -> dict[str, object]:
    # Of the content types that the sidecar knows only this one leaves the bytes alone.
    return {
        "entryId": str(number),
        "event": base64.b64encode(message.body).decode(),
        "contentType": "application/octet-stream",
        "metadata": metadata,
    }


def _outcomes(error: SidecarError, count: int) -> list[PortError | None]:
    """The outcome of each message. If the sidecar does not name the messages that failed, all have failed."""
    failed = {int(entry) for entry in error.entries if entry.isdecimal()} or set(range(count))
    return [publish_error(error) if number in failed else None for number in range(count)]
