"""Recorded messages with their AMQP types: those that are sent to a host, and those that it has sent."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bridge.adapters.embedded.amqp.brokervalues import Incoming
from bridge.amqp import amqptypes
from bridge.amqp.encode import encode
from bridge.amqp.sections import APPLICATION_PROPERTIES, MESSAGE_ANNOTATIONS, PROPERTIES, Parts

Json = dict[str, Any]

_FIELDS = (
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
)
_OWN_NAMES = {"sessionId": "group-id", "replyToSessionId": "reply-to-group-id"}
_SYMBOLS = frozenset({"content-type", "content-encoding"})
_TYPES: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "symbol": amqptypes.Symbol,
    "boolean": bool,
    "int": lambda given: amqptypes.Int(int(given)),
    "long": lambda given: amqptypes.Long(int(given)),
    "short": amqptypes.Short,
    "byte": amqptypes.Byte,
    "ubyte": amqptypes.UByte,
    "ushort": amqptypes.UShort,
    "uint": lambda given: amqptypes.UInt(int(given)),
    "ulong": lambda given: amqptypes.ULong(int(given)),
    "float": amqptypes.Float,
    "double": float,
    "char": amqptypes.Char,
    "uuid": UUID,
    "timestamp": lambda given: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(given)),
    "binary": b64decode,
    "null": lambda _: None,
}


def typed(recorded: Json) -> Any:
    """A value with its AMQP type."""
    if recorded["type"] == "described":
        return amqptypes.Described(amqptypes.Symbol(recorded["descriptor"]), typed(recorded["inner"]))
    if recorded["type"] == "map":
        return {name: typed(value) for name, value in recorded["value"]}
    if recorded["type"] == "list":
        return [typed(each) for each in recorded["value"]]
    return _TYPES[recorded["type"]](recorded["value"])


def encoded(recorded: Json) -> bytes:
    """A recorded message as a client sends it."""
    pieces = []
    if "ttl" in recorded:
        pieces.append(_section(0x70, [None, None, amqptypes.UInt(recorded["ttl"])]))
    if recorded.get("annotations"):
        pieces.append(_section(0x72, {amqptypes.Symbol(name): typed(value) for name, value in recorded["annotations"].items()}))
    fields: list[Any] = [None] * len(_FIELDS)
    for name, value in (recorded.get("properties") or {}).items():
        place = _OWN_NAMES.get(name) or "".join(f"-{each.lower()}" if each.isupper() else each for each in name)
        given = typed(value) if isinstance(value, dict) else value
        fields[_FIELDS.index(place)] = amqptypes.Symbol(given) if place in _SYMBOLS else given
    pieces.append(_section(0x73, fields))
    if recorded.get("applicationProperties"):
        pieces.append(_section(0x74, {name: typed(value) for name, value in recorded["applicationProperties"]}))
    return b"".join([*pieces, *_bodies(recorded["body"])])


def _section(code: int, value: Any) -> bytes:
    return encode(amqptypes.Described(amqptypes.ULong(code), value))


def _bodies(body: Json) -> list[bytes]:
    if "text" in body:
        return [_section(0x75, body["text"].encode())]
    if "base64" in body:
        return [_section(0x75, b64decode(body["base64"]))]
    if "value" in body:
        return [_section(0x77, typed(body["value"]))]
    return [_section(0x76, [typed(each) for each in body["sequence"]])] if "sequence" in body else []


def shown(sent: Incoming) -> Json:
    """A message that the host has sent, in the form of the vectors."""
    parts = Parts(sent.encoded)
    fields = zip(_FIELDS, parts.fields(PROPERTIES), strict=False)
    application = parts.mapping(APPLICATION_PROPERTIES, typed=True)
    return {
        "messageFormat": 0,
        "header": {"durable": sent.durable or None, "ttl": sent.time_to_live},
        "annotations": parts.mapping(MESSAGE_ANNOTATIONS),
        "properties": {name: _with_type(name in _SYMBOLS, value) for name, value in fields if value is not None},
        "applicationProperties": [[name, _with_type(isinstance(value, amqptypes.Symbol), value)] for name, value in application.items()],
        "body": {"kind": "data", "text": sent.body.decode("utf-8", "replace"), "base64": b64encode(sent.body).decode()},
    }


def _with_type(is_symbol: bool, value: Any) -> Json:
    return {"type": "symbol" if is_symbol else "string" if isinstance(value, str) else type(value).__name__.lower(), "value": str(value)}
