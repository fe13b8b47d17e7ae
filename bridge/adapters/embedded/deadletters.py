"""The dead-letter sub-queues of the embedded queue, in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from uuid import UUID

from bridge.adapters.embedded.amqp.brokererrors import BrokerError, EntityNotFound, MessageTooLarge, NotAllowed
from bridge.adapters.embedded.amqp.brokervalues import Abandon, BrokerMessage, Complete, Incoming, Locked
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.adapters.embedded.amqp.ports import Broker, MessageReceiver
from bridge.adapters.embedded.amqp.rewriting import rewrite
from bridge.adapters.embedded.brokermessages import text_properties
from bridge.adapters.embedded.drafts import DEAD_LETTER_PROPERTIES, DESCRIPTION, REASON, Draft
from bridge.adapters.embedded.reach import Reach
from bridge.adapters.embedded.routing import RulesOf
from bridge.entities import DEAD_LETTERS, Entities
from bridge.errors import Unavailable, Undeliverable
from bridge.ports import Message, ParkedMessage

PATIENCE = 0.2  #: seconds that the next messages may take: they come from the same process


class EmbeddedDeadLetters:
    """Implements `ports.DeadLetterQueues` on the broker of this process."""

    def __init__(self, broker: Broker, entities: Entities, rules_of: RulesOf) -> None:
        self._broker, self._reach = broker, Reach(entities, rules_of)
        self.entities = tuple(name for name, _ in entities.sources)

    async def peek(self, entity: str, number: int, most: int) -> Sequence[ParkedMessage]:
        """Messages from a number on. Raises Undeliverable, Unavailable."""
        with _port_errors():
            found = await self._broker.peek(_address(entity), number, most, None)
        return [replace(_parked(entity, each), reaches=self._reached(entity, each)) for each in found]

    def _reached(self, entity: str, stored: BrokerMessage) -> tuple[str, ...]:
        topic = entity.partition("/")[0]
        return self._reach.of(topic, Draft.of_incoming(topic, incoming(stored.encoded)))

    @asynccontextmanager
    async def head(self, entity: str) -> AsyncIterator[EmbeddedHead]:
        """Open the head; what is still locked when it closes is given back. Raises Undeliverable, Unavailable."""
        head = EmbeddedHead(entity)
        with _port_errors():
            head.receiver = self._broker.open_receiver(_address(entity), push=head.push, receive_and_delete=False)
        try:
            yield head
        finally:
            head.receiver.close(gone=True)

    async def send(self, copies: Sequence[tuple[ParkedMessage, Message]]) -> None:
        """Send the copies, those of one topic or queue together. Raises Undeliverable, Unavailable."""
        by_topic: dict[str, list[Incoming]] = {}
        for parked, message in copies:
            by_topic.setdefault(message.topic, []).append(_copy(parked, message))
        for topic, messages in by_topic.items():
            with _port_errors():
                await self._broker.send(topic, messages)

    def reaches(self, message: Message) -> Sequence[str]:
        """The subscriptions that store the message, by their rules as they are now."""
        return self._reach.of(message.topic, Draft(message))


class EmbeddedHead:
    """Implements `ports.SubQueueHead`."""

    receiver: MessageReceiver

    def __init__(self, entity: str) -> None:
        self._entity = entity
        self._came: asyncio.Queue[Locked] = asyncio.Queue()

    def push(self, locked: Locked) -> None:
        """Take a message that the queue delivers."""
        self._came.put_nowait(locked)

    async def lock(self, most: int) -> Sequence[ParkedMessage]:
        """Lock the next messages."""
        self.receiver.grant(most)
        found: list[Locked] = []
        try:
            while len(found) < most:
                found.append(await asyncio.wait_for(self._came.get(), PATIENCE))
        except TimeoutError:
            self.receiver.drain()
        while not self._came.empty():
            found.append(self._came.get_nowait())
        return [replace(_parked(self._entity, each.stored), locked_until=each.until, native=each) for each in found]

    async def complete(self, messages: Sequence[ParkedMessage]) -> Sequence[ParkedMessage]:
        """Remove locked messages; returns those whose locks have ended."""
        ends = await asyncio.gather(*(self.receiver.settle(_token(each), Complete()) for each in messages), return_exceptions=True)
        return [each for each, end in zip(messages, ends, strict=True) if end is not None]

    async def abandon(self, messages: Sequence[ParkedMessage]) -> None:
        """Give locked messages back."""
        await asyncio.gather(*(self.receiver.settle(_token(each), Abandon()) for each in messages), return_exceptions=True)


def _parked(entity: str, stored: BrokerMessage) -> ParkedMessage:
    sent = incoming(stored.encoded)
    properties = text_properties({**sent.properties, **stored.properties_to_add})
    return ParkedMessage(
        entity=entity,
        number=stored.sequence_number,
        message=Message(
            entity.partition("/")[0],
            sent.body,
            message_id=sent.message_id,
            correlation_id=sent.correlation_id,
            label=sent.label,
            content_type=sent.content_type,
            properties={name: text for name, text in properties.items() if name not in DEAD_LETTER_PROPERTIES},
        ),
        reason=properties.get(REASON, ""),
        description=properties.get(DESCRIPTION, ""),
        deliveries=stored.delivery_count,
        enqueued_at=stored.enqueued,
        native=stored,
    )


def _copy(parked: ParkedMessage, message: Message) -> Incoming:
    """The message as it was sent, without what dead-lettering added; an edited one with its new body."""
    stored = parked.native.stored if isinstance(parked.native, Locked) else parked.native
    assert isinstance(stored, BrokerMessage)  # noqa: S101 - it came from here
    sent = incoming(stored.encoded)
    if message.body == parked.message.body:
        system = {"message_id": message.message_id}
        added = {name: value for name, value in stored.properties_to_add.items() if name not in DEAD_LETTER_PROPERTIES}
        encoded = rewrite(stored.encoded, system=system, application=added, removed=DEAD_LETTER_PROPERTIES)
    else:
        kept = {
            name: value for name, value in {**sent.properties, **stored.properties_to_add}.items() if name not in DEAD_LETTER_PROPERTIES
        }
        encoded = bare_message(
            message.body,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            label=message.label,
            to=sent.to,
            reply_to=sent.reply_to,
            content_type=message.content_type,
            session_id=sent.session_id,
            properties=kept,
        )
    return replace(incoming(encoded), time_to_live=message.time_to_live)


def _token(parked: ParkedMessage) -> UUID:
    assert isinstance(parked.native, Locked)  # noqa: S101 - only what was locked is settled
    return parked.native.token


def _address(entity: str) -> str:
    return f"{entity.replace('/', '/Subscriptions/', 1)}/{DEAD_LETTERS}"


@contextmanager
def _port_errors() -> Iterator[None]:
    try:
        yield
    except (EntityNotFound, NotAllowed, MessageTooLarge) as fault:
        raise Undeliverable(str(fault)) from None
    except BrokerError as fault:
        raise Unavailable(str(fault), hint="Try again.") from None
