"""A stored message as each side reads it: receivers over AMQP, and the handlers of the bridge itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from bridge import sqlfilter
from bridge.adapters.embedded.amqp.brokervalues import ACTIVE, DEFERRED, SCHEDULED, BrokerMessage, Incoming, Value
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.adapters.embedded.drafts import DEAD_LETTER_PROPERTIES, NOT_ON_THE_WIRE, SOURCE
from bridge.adapters.embedded.messages import StoredMessage
from bridge.ports import Message


def broker_message(stored: StoredMessage, now: float, deliveries: int) -> BrokerMessage:
    """The message for a receiver over AMQP, which had `deliveries` before this one. `now` is the steady time."""
    state = DEFERRED if stored.deferred else SCHEDULED if stored.scheduled and stored.due > now else ACTIVE
    scheduled_for = _moment(stored.due) if stored.scheduled and not stored.deferred else None
    amqp = stored.amqp
    return BrokerMessage(
        sequence_number=stored.id,
        enqueued=_moment(stored.due if scheduled_for and state == ACTIVE else stored.enqueued),
        encoded=amqp.encoded if amqp is not None else _bare(stored),
        expires=_moment(stored.expires) if stored.expires is not None else None,
        delivery_count=deliveries,
        state=state,
        scheduled_for=scheduled_for,
        dead_letter_source=_address(stored.message.properties.get(SOURCE, "")),
        properties_to_add=stored.added,
        session_id=amqp.session if amqp is not None else stored.message.correlation_id or None,
        priority=amqp.header[0] if amqp is not None else None,
        durable=amqp.header[1] if amqp is not None else False,
    )


def bridge_message(stored: StoredMessage) -> Message:
    """The message for a handler of the bridge: with body, and with the application properties as text.

    Only the bus may say why a message is a dead letter, so what a sender put under these names is left out.
    """
    if stored.amqp is None:
        return stored.message
    sent = incoming(stored.amqp.encoded)
    given = {name: _text(value) for name, value in {**sent.properties, **stored.added}.items() if name not in DEAD_LETTER_PROPERTIES}
    return replace(stored.message, body=sent.body, properties={**given, **stored.message.properties})


def published(topic: str, sent: Incoming) -> Message:
    """A message that came over AMQP, for a bus that carries no types: application properties are text."""
    return Message(
        topic,
        sent.body,
        message_id=sent.message_id,
        correlation_id=sent.correlation_id,
        label=sent.label,
        content_type=sent.content_type,
        deliver_at=sent.scheduled,
        time_to_live=sent.time_to_live,
        properties={name: _text(value) for name, value in sent.properties.items()},
    )


def _bare(stored: StoredMessage) -> bytes:
    """A message that the bridge published, as an AMQP message. One without an id gets its number, as some clients need one."""
    message = stored.message
    properties = {name: value for name, value in message.properties.items() if name not in NOT_ON_THE_WIRE}
    return bare_message(
        message.body,
        message_id=message.message_id or f"{stored.id:032x}",
        correlation_id=message.correlation_id,
        label=message.label,
        content_type=message.content_type,
        session_id=message.correlation_id or None,
        properties=properties,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _address(path: str) -> str:
    """ "topic/subscription" as clients write it."""
    topic, _, subscription = path.partition("/")
    return f"{topic}/Subscriptions/{subscription}" if subscription else path


def text_properties(properties: Mapping[str, Value]) -> dict[str, str]:
    """Application properties as text."""
    return {name: _text(value) for name, value in properties.items()}


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return "" if value is None else sqlfilter.text_of(value)
