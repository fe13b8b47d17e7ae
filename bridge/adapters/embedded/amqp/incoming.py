"""Reads what a client sent: one message, or a batch of them."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from bridge.adapters.embedded.amqp.brokervalues import Incoming
from bridge.amqp.decode import decode_plain
from bridge.amqp.encode import compound, text
from bridge.amqp.scan import BadEncoding, list_items, raw_items
from bridge.amqp.sections import (
    APPLICATION_PROPERTIES,
    DATA,
    DELIVERY_ANNOTATIONS,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    Parts,
    split,
)

BATCH = 0x80013700  #: the message format of a batch: every data section holds a whole message
LARGEST_PROPERTIES = 65_536  #: bytes of application properties; the limit of Service Bus
SCHEDULED_TIME, PARTITION_KEY = "x-opt-scheduled-enqueue-time", "x-opt-partition-key"


def incoming(message: bytes) -> Incoming:
    """One message as a client sent it. A message without an id is given one, since some clients cannot settle it otherwise."""
    parts = Parts(message)
    header = _padded(parts.fields(HEADER), 5)
    properties = _padded(parts.fields(PROPERTIES), 13)
    section = parts.sections.get(APPLICATION_PROPERTIES)
    if section is not None and section.end - section.start > LARGEST_PROPERTIES:
        raise BadEncoding(f"the application properties have more than {LARGEST_PROPERTIES} bytes")
    annotations = parts.mapping(MESSAGE_ANNOTATIONS)
    encoded, message_id = _bare(parts), _as_text(properties[0])
    if not message_id:
        message_id = secrets.token_hex(16)
        encoded = _with_message_id(encoded, message_id)
    scheduled = annotations.get(SCHEDULED_TIME)
    return Incoming(
        encoded=encoded,
        message_id=message_id,
        to=_as_text(properties[2]),
        label=_as_text(properties[3]),
        reply_to=_as_text(properties[4]),
        correlation_id=_as_text(properties[5]),
        content_type=_as_text(properties[6]),
        session_id=properties[10] if isinstance(properties[10], str) else None,
        reply_to_session_id=_as_text(properties[12]),
        properties=parts.mapping(APPLICATION_PROPERTIES, typed=True),
        body=parts.body(),
        time_to_live=timedelta(milliseconds=header[2]) if isinstance(header[2], int) else None,
        scheduled=scheduled if isinstance(scheduled, datetime) else None,
        partition_key=_as_text(annotations.get(PARTITION_KEY)),
        priority=header[1] if isinstance(header[1], int) else None,
        durable=header[0] is True,
    )


def batch(message: bytes, message_format: int) -> list[Incoming]:
    """The messages of one transfer: several in a batch, else one. Raises BadEncoding."""
    if message_format != BATCH:
        return [incoming(message)]
    found = []
    for section in split(message):
        if section.code == DATA:
            inner, _ = decode_plain(message, section.value)
            if not isinstance(inner, bytes):
                raise BadEncoding("a batch holds something other than messages")
            found.append(incoming(inner))
    return found


def _padded(items: list[Any], length: int) -> list[Any]:
    return items + [None] * (length - len(items))


def _as_text(value: Any) -> str:
    """Ids may be text, a number, a UUID or bytes."""
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else str(value)


def _bare(parts: Parts) -> bytes:
    """The message from its annotations on; that is all behind header and delivery annotations. Descriptors have their short form."""
    message = parts.message
    behind = [section for section in parts.all if section.code > DELIVERY_ANNOTATIONS]
    if all(section.value - section.start == 3 for section in behind):
        return message[behind[0].start :] if behind else b""
    return b"".join(bytes((0x00, 0x53, section.code)) + message[section.value : section.end] for section in behind)


def _with_message_id(encoded: bytes, message_id: str) -> bytes:
    parts = Parts(encoded)
    found = parts.sections.get(PROPERTIES)
    given = text(message_id)
    if found is None:
        section, before, after = [given], parts.raw(MESSAGE_ANNOTATIONS), len(parts.raw(MESSAGE_ANNOTATIONS))
        return before + b"\x00\x53\x73" + compound(0xC0, section) + encoded[after:]
    start, count, end = list_items(encoded, found.value)
    items = [given, *raw_items(encoded, start, count)[1:]]
    return encoded[: found.start] + b"\x00\x53\x73" + compound(0xC0, items) + encoded[end:]
