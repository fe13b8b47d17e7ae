"""The bus behind the sidecar: Dapr's publish API outwards, what the sidecar brings inwards.

Bodies travel as `rawPayload` in both directions. Without it the sidecar would read each event into floating-point numbers and write it
anew, and what it cannot read as an event would never arrive here, where it becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from bridge.adapters.dapr import values
from bridge.adapters.dapr.faults import Refused, of_publish
from bridge.adapters.dapr.gathering import Gathering
from bridge.adapters.dapr.later import Later
from bridge.adapters.dapr.properties import is_service_bus, to_metadata
from bridge.adapters.dapr.readers import Readers
from bridge.adapters.dapr.sidecar import Component, Sidecar
from bridge.errors import PortError, Undeliverable
from bridge.ports import Handler, Message

ENVELOPE = 64 * 2**10  #: bytes a message may have beyond its body


class DaprBus:
    """Implements `ports.Bus`. `components` says which component carries each topic and queue; other names are refused.

    `dead_letters` are the sources to which a broker forwards its dead letters.
    """

    def __init__(  # noqa: PLR0913 - each is one neighbour
        self,
        sidecar: Sidecar,
        components: Mapping[str, Component],
        readers: Readers,
        later: Later,
        *,
        dead_letters: frozenset[str],
        max_message: int,
    ) -> None:
        self._sidecar, self._components, self._readers, self._later = sidecar, components, readers, later
        self._dead_letters = dead_letters
        self._max_message = max_message
        self._topics: dict[str, Gathering[Message, None]] = {
            topic: Gathering(partial(self._send, topic), size=_size) for topic in components
        }

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store every message durably before returning.

        Raises Full or Unavailable (some may have been stored) and Undeliverable (unknown topic, message too large).
        """
        for message in messages:
            self._check(message)
        now = datetime.now(UTC)
        held = [message for message in messages if self._must_be_held(message, now)]
        sent = [self._topics[message.topic].ask(message) for message in messages if not self._must_be_held(message, now)]
        outcomes = await asyncio.gather(*sent, *(self._later.hold(message) for message in held), return_exceptions=True)
        faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        # What may pass comes first: told that all was refused for good, the caller would not send the rest again.
        for fault in sorted(faults, key=lambda each: isinstance(each, Undeliverable)):
            raise fault

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Hand every message of `source` to `handler`. Raises Undeliverable if there is no such queue or subscription."""
        component = self._components.get(source.partition("/")[0])
        dead_letters = component is not None and is_service_bus(component) and source in self._dead_letters
        self._readers.take(source, handler, concurrency=concurrency, dead_letters=dead_letters)

    async def close(self, patience: float = 0) -> None:
        """Take nothing more, let handlers go on for `patience` seconds and cancel the rest; their messages stay on the bus."""
        await self._readers.close(patience)
        await self._later.close()

    def _check(self, message: Message) -> None:
        if message.topic not in self._components:
            raise Undeliverable(f"There is no topic {message.topic!r}.", hint="Add it to the entities file, or correct the name.")
        if len(message.body) > self._max_message + ENVELOPE:
            raise Undeliverable(
                f"A message of {len(message.body)} bytes is too large; {self._max_message + ENVELOPE} are allowed.", hint="Send less."
            )

    def _must_be_held(self, message: Message, now: datetime) -> bool:
        return message.deliver_at is not None and message.deliver_at > now and not is_service_bus(self._components[message.topic])

    async def _send(self, topic: str, messages: Sequence[Message]) -> list[PortError | None]:
        component, now = self._components[topic], datetime.now(UTC)
        told = [to_metadata(message, component, now) for message in messages]
        if len(messages) == 1:
            query = {f"metadata.{name}": value for name, value in told[0].items()}
            answer = await self._sidecar.post(
                f"publish/{component.name}/{topic}", messages[0].body, content_type="application/octet-stream", query=query
            )
            return [of_publish(answer) if isinstance(answer, Refused) else None]
        entries = [_entry(number, message, each) for number, (message, each) in enumerate(zip(messages, told, strict=True))]
        answer = await self._sidecar.post(
            f"publish/bulk/{component.name}/{topic}",
            values.dump(entries),
            content_type="application/json",
            query={"metadata.rawPayload": "true"},
        )
        if not isinstance(answer, Refused):
            return [None] * len(messages)
        return _outcomes(answer, len(messages))


def _size(message: Message) -> int:
    return len(message.body) + 1024


def _entry(number: int, message: Message, told: Mapping[str, str]) -> dict[str, object]:
    # Of the content types that the sidecar knows only this one leaves the bytes alone.
    return {
        "entryId": str(number),
        "event": base64.b64encode(message.body).decode(),
        "contentType": "application/octet-stream",
        "metadata": dict(told),
    }


def _outcomes(refused: Refused, count: int) -> list[PortError | None]:
    """Each message's own outcome, where the sidecar names those that failed; otherwise all have."""
    failed = {int(entry) for entry in refused.entries if entry.isdecimal()} or set(range(count))
    return [of_publish(refused) if number in failed else None for number in range(count)]
