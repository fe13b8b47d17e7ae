"""Writes messages: those that a receiver is given, and those that the bridge itself sends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from struct import Struct
from typing import Any
from uuid import UUID

from bridge.adapters.embedded.amqp.brokervalues import BrokerMessage, Value
from bridge.adapters.embedded.amqp.incoming import SCHEDULED_TIME
from bridge.adapters.embedded.amqp.rewriting import rewrite
from bridge.amqp.amqptypes import milliseconds
from bridge.amqp.decode import decode
from bridge.amqp.encode import binary, compound, enclosed, encode, symbol, text, timestamp, uint
from bridge.amqp.scan import BadEncoding, list_items, raw_items, skip

#: Annotations that the broker sets itself; those that a sender gave are dropped.
_OURS = frozenset(
    symbol(f"x-opt-{name}")
    for name in (
        "sequence-number",
        "enqueue-sequence-number",
        "enqueued-time",
        "locked-until",
        "message-state",
        "deadletter-source",
        "lock-token",
    )
)
_NUMBER, _ENQUEUED_NUMBER = symbol("x-opt-sequence-number") + b"\x81", symbol("x-opt-enqueue-sequence-number") + b"\x81"
_ENQUEUED = symbol("x-opt-enqueued-time") + b"\x83"
_ALWAYS = Struct(f">{len(_NUMBER)}sq{len(_ENQUEUED_NUMBER)}sq{len(_ENQUEUED)}sq")
_LOCKED_UNTIL, _STATE = symbol("x-opt-locked-until"), symbol("x-opt-message-state")
_DEAD_LETTER_SOURCE, _LOCK_TOKEN, _SCHEDULED = symbol("x-opt-deadletter-source"), symbol("x-opt-lock-token"), symbol(SCHEDULED_TIME)


def deliver(stored: BrokerMessage, locked_until: datetime | None, lock_token: UUID | None = None) -> bytes:
    """The message on the wire. `lock_token` goes into the delivery annotations, where a reply of $management needs it."""
    encoded = stored.encoded
    start = skip(encoded, 3) if encoded[:3] == b"\x00\x53\x72" else 0
    token = b"" if lock_token is None else b"\x00\x53\x71" + compound(0xC1, [_LOCK_TOKEN, b"\x98" + lock_token.bytes])
    rest = encoded[start:]
    if stored.properties_to_add:
        rest = rewrite(rest, system={}, application=stored.properties_to_add)
    return b"".join((_header(stored), token, b"\x00\x53\x72", _annotations(stored, locked_until, given=start > 0), rest))


def _header(stored: BrokerMessage) -> bytes:
    expires = stored.expires
    ttl = b"\x40" if expires is None else uint(min(max(round((expires - stored.enqueued).total_seconds() * 1000), 0), 2**32 - 1))
    priority = b"\x40" if stored.priority is None else bytes((0x50, stored.priority))
    content = (b"\x41" if stored.durable else b"\x40") + priority + ttl + b"\x40" + uint(stored.delivery_count)
    return b"\x00\x53\x70\xc0" + bytes((len(content) + 1, 5)) + content


def _annotations(stored: BrokerMessage, locked_until: datetime | None, *, given: bool) -> bytes:
    """The annotations of the broker and, where there are any `given`, those of the sender."""
    number = stored.sequence_number
    items = _sender_annotations(stored.encoded) if given else []
    scheduled = _SCHEDULED in items
    items += (_STATE, b"\x54" + bytes((stored.state,)))
    if locked_until is not None:
        items += (_LOCKED_UNTIL, timestamp(locked_until))
    if stored.dead_letter_source:
        items += (_DEAD_LETTER_SOURCE, text(stored.dead_letter_source))
    if stored.scheduled_for is not None and not scheduled:
        items += (_SCHEDULED, timestamp(stored.scheduled_for))
    always = _ALWAYS.pack(_NUMBER, number, _ENQUEUED_NUMBER, number, _ENQUEUED, milliseconds(stored.enqueued))
    return enclosed(0xC1, always + b"".join(items), len(items) + 6)


def _sender_annotations(encoded: bytes) -> list[bytes]:
    items = raw_items(encoded, *list_items(encoded, 3)[:2])
    return [part for key, value in zip(items[::2], items[1::2], strict=True) if key not in _OURS for part in (key, value)]


def bare_message(  # noqa: PLR0913 - the properties of a message
    body: bytes,
    *,
    message_id: str,
    correlation_id: str = "",
    label: str = "",
    to: str = "",
    reply_to: str = "",
    content_type: str = "",
    session_id: str | None = None,
    properties: Mapping[str, Value] | None = None,
) -> bytes:
    """A bare message with one data section, as `Incoming.encoded` has it."""
    fields: list[Any] = [message_id, None, to or None, label or None, reply_to or None, correlation_id or None]
    items = [encode(field) for field in fields]
    items.append(symbol(content_type) if content_type else b"\x40")
    if session_id is not None:
        items += [b"\x40", b"\x40", b"\x40", text(session_id)]
    parts = [b"\x00\x53\x73", compound(0xC0, items)]
    if properties:
        parts += [b"\x00\x53\x74", encode_properties(properties)]
    return b"".join((*parts, b"\x00\x53\x75", binary(body)))


def encode_properties(properties: Mapping[str, Value]) -> bytes:
    """Application properties as one AMQP map, so that a broker can keep them with their types."""
    return compound(0xC1, [part for key, value in properties.items() for part in (text(key), encode(value))])


def decode_properties(data: bytes) -> dict[str, Value]:
    """What `encode_properties` wrote. Raises BadEncoding."""
    found, _ = decode(data)
    if not isinstance(found, dict):
        raise BadEncoding("application properties are no map")
    return found
