"""Messages of Service Bus: what a function is given of one, and one that carries what a function has set."""

from __future__ import annotations

import math
import struct
import uuid
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bridge.amqp.amqptypes import Char, DateTimeOffset, Float, Symbol, Uri
from bridge.amqp.encode import NULL, binary, compound, symbol, text
from bridge.amqp.sections import APPLICATION_PROPERTIES, DATA, HEADER, MESSAGE_ANNOTATIONS, PROPERTIES, VALUE, Parts
from bridge.local.functions import newtonsoftreader, newtonsoftwriter
from bridge.local.functions.feed import BodyForm, OutputMessage, Received, ReceivingClient

_PLACES = {
    "messageId": 0,
    "to": 2,
    "label": 3,
    "replyTo": 4,
    "correlationId": 5,
    "contentType": 6,
    "sessionId": 10,
    "replyToSessionId": 12,
}
"""Where in the properties section each stands (AMQP 1.0, part 3.2.4)."""
_EXPIRES = 8
_TOKEN = 16  #: bytes of a lock token
_PACKED = struct.Struct(">f")
_PARENT = "$AzureWebJobsParentId"  #: the application property in which a message names the invocation that has sent it


def lock_of(tag: bytes) -> str:
    """The lock token as .NET writes it; the delivery's tag is the same in its byte order."""
    return str(uuid.UUID(bytes_le=tag)) if len(tag) == _TOKEN else tag.hex()


def read(tag: bytes, payload: bytes, client: ReceivingClient = ReceivingClient(), session_until: datetime | None = None) -> Received:  # noqa: B008 - it is frozen
    """A message as it came. Raises BadEncoding."""
    parts = Parts(payload)
    fields = parts.fields(PROPERTIES)
    header = parts.fields(HEADER)
    annotations = parts.mapping(MESSAGE_ANNOTATIONS)
    enqueued = annotations.get("x-opt-enqueued-time")
    properties: dict[str, Any] = {
        name: _id_text(fields[place]) for name, place in _PLACES.items() if place < len(fields) and fields[place] is not None
    }
    properties |= {
        "partitionKey": annotations.get("x-opt-partition-key"),
        "transactionPartitionKey": annotations.get("x-opt-via-partition-key"),
        "deadLetterSource": annotations.get("x-opt-deadletter-source"),
        "sequenceNumber": annotations.get("x-opt-sequence-number"),
        "enqueuedTime": _time_text(enqueued),
        "lockedUntil": _time_text(annotations.get("x-opt-locked-until")),
        "expiresAt": _time_text(_expires(fields, header, enqueued)),
        "deliveryCount": (header[4] if len(header) > 4 and isinstance(header[4], int) else 0) + 1,
        "applicationProperties": plain(parts.mapping(APPLICATION_PROPERTIES, typed=True)),
    }
    return Received(lock_of(tag), parts.body(), properties, payload, _form(parts), client, session_until)


def _form(parts: Parts) -> BodyForm:
    if not parts.bodies or parts.bodies[0].code == DATA:
        return BodyForm.DATA
    is_text = parts.bodies[0].code == VALUE and type(parts.value()) is str
    return BodyForm.TEXT if is_text else BodyForm.OTHER


def _expires(fields: list[Any], header: list[Any], enqueued: object) -> datetime | None:
    given = fields[_EXPIRES] if len(fields) > _EXPIRES else None
    if isinstance(given, datetime):
        return given
    lives = header[2] if len(header) > 2 else None
    if not isinstance(lives, int) or not isinstance(enqueued, datetime):
        return None
    try:
        return enqueued + timedelta(milliseconds=lives)
    except OverflowError:
        return None


def _id_text(value: object) -> str:
    """Ids may be text, a number, a UUID or bytes."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _time_text(time: object) -> str | None:
    """RFC 3339 in UTC."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z") if isinstance(time, datetime) else None


def plain(properties: Mapping[Any, Any]) -> dict[str, Any]:
    """Application properties as JSON has them: what it has no type for is text, as the Functions host writes it."""
    return {str(name): _plain(value) for name, value in properties.items()}


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one answer for each kind
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal):
        number = _shortest(value) if isinstance(value, Float) else float(value)
        return number if math.isfinite(number) else newtonsoftwriter.text_of(number)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, datetime):
        shown = newtonsoftreader.time(value.astimezone(UTC).isoformat())
        text = shown.written if isinstance(shown, newtonsoftreader.JsonTime) else shown
        return text if isinstance(value, DateTimeOffset) else text.replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return _span(value)
    return str.__str__(value) if isinstance(value, Char | Symbol | Uri) else str(value)


def _shortest(value: float) -> float:
    """A number of 32 bits as the number that its shortest decimal form means, which is how .NET writes it."""
    if not math.isfinite(value):
        return float(value)
    return next(number for digits in range(6, 18) if _PACKED.pack(number := float(f"{value:.{digits}g}")) == _PACKED.pack(value))


def _span(value: timedelta) -> str:
    """A time span as .NET writes it: [-][d.]hh:mm:ss[.fffffff]."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{value.days}." if value.days else ""
    fraction = f".{value.microseconds * 10:07d}" if value.microseconds else ""
    return f"{sign}{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


def written(message: OutputMessage, message_id: str) -> bytes:
    """A message with one data section, as the Functions host sends it: an id, a content type, the invocation, and a body."""
    content_type = symbol(message.content_type) if message.content_type else NULL
    fields = compound(0xC0, [text(message_id), *[NULL] * 5, content_type])
    application = (b"\x00\x53\x74", compound(0xC1, [text(_PARENT), text(message.invocation)])) if message.invocation else ()
    return b"".join((b"\x00\x53\x73", fields, *application, b"\x00\x53\x75", binary(message.body)))
