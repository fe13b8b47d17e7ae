"""Messages of Azure's client as the bridge sees them, and the copy of one that a replay sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageHeader, AmqpMessageProperties

from bridge.adapters.embedded.amqp.brokervalues import Value
from bridge.adapters.embedded.brokermessages import text_properties
from bridge.ports import Message, ParkedMessage

REASON, DESCRIPTION = "DeadLetterReason", "DeadLetterErrorDescription"
_BROKER_S = frozenset({REASON, DESCRIPTION})
_PARTITION_KEY = "x-opt-partition-key"


def parked(entity: str, received: ServiceBusReceivedMessage) -> ParkedMessage:
    """A message that was peeked or locked."""
    return ParkedMessage(
        entity=entity,
        number=received.sequence_number or 0,
        message=Message(
            entity.partition("/")[0],
            _body(received),
            message_id=_id(received.message_id),
            correlation_id=_id(received.correlation_id),
            label=received.subject or "",
            content_type=received.content_type or "",
            properties=text_properties(simple_properties(received)),
        ),
        reason=received.dead_letter_reason or "",
        description=received.dead_letter_error_description or "",
        deliveries=received.delivery_count or 0,
        enqueued_at=received.enqueued_time_utc or datetime.fromtimestamp(0, UTC),
        locked_until=received.locked_until_utc,
        native=received,
    )


def copy(original: ParkedMessage, message: Message) -> AmqpAnnotatedMessage:
    """What is sent for the parked message: itself, without what dead-lettering added, under the ids of `message` and with its body."""
    received = original.native
    assert isinstance(received, ServiceBusReceivedMessage)  # noqa: S101 - it came from here
    milliseconds = int(message.time_to_live.total_seconds() * 1000) if message.time_to_live is not None else None
    key = received.partition_key
    return AmqpAnnotatedMessage(
        **(_body_as_it_was(received) if message.body == original.message.body else {"data_body": [message.body]}),
        header=AmqpMessageHeader(time_to_live=milliseconds),
        properties=AmqpMessageProperties(
            message_id=message.message_id,
            correlation_id=message.correlation_id or None,
            subject=message.label or None,
            content_type=message.content_type or None,
            to=received.to,
            reply_to=received.reply_to,
            group_id=received.session_id,
            reply_to_group_id=received.reply_to_session_id,
        ),
        application_properties=own_properties(received),
        annotations={_PARTITION_KEY: key} if key else None,
    )


def shares_a_batch(original: ParkedMessage) -> bool:
    """Whether the copy may be sent in one batch with others: Service Bus wants one session and one partition key in a batch."""
    received = original.native
    return isinstance(received, ServiceBusReceivedMessage) and not received.session_id and not received.partition_key


def own_properties(received: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The application properties that its sender gave it. The client has names and texts as bytes."""
    found: Mapping[Any, Any] = received.application_properties or {}
    named = {_text(name): _text(value) for name, value in found.items()}
    return {str(name): value for name, value in named.items() if name not in _BROKER_S}


def simple_properties(received: ServiceBusReceivedMessage) -> dict[str, Value]:
    """The same to be shown, and for rules: what is of no simple type is text."""
    simple = int | float | Decimal | bool | str | bytes | UUID | datetime | None
    return {name: value if isinstance(value, simple) else str(value) for name, value in own_properties(received).items()}


def _id(value: Any) -> str:
    """An id as text: Service Bus takes texts, numbers, UUIDs and bytes."""
    return "" if value is None else value.hex() if isinstance(value, bytes) else str(value)


def _text(value: Any) -> Any:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _body(received: ServiceBusReceivedMessage) -> bytes:
    """All data sections together; of a value section its text or bytes, else nothing."""
    if received.body_type is AmqpMessageBodyType.DATA:
        sections: Iterable[bytes] = received.body
        return b"".join(sections)
    value = received.body if received.body_type is AmqpMessageBodyType.VALUE else None
    return value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else b""


def _body_as_it_was(received: ServiceBusReceivedMessage) -> dict[str, Any]:
    if received.body_type is AmqpMessageBodyType.VALUE:
        return {"value_body": _text(received.body)}
    if received.body_type is AmqpMessageBodyType.SEQUENCE:
        return {"sequence_body": list(received.body)}
    return {"data_body": list(received.body)}
