"""Changes a bare message: its system properties and application properties, as the action of a rule asks. The rest keeps its bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.adapters.embedded.amqp.brokervalues import Value
from bridge.adapters.embedded.amqp.incoming import PARTITION_KEY
from bridge.amqp.decode import decode_plain
from bridge.amqp.encode import NULL, compound, encode, symbol, text
from bridge.amqp.scan import list_items, raw_items
from bridge.amqp.sections import APPLICATION_PROPERTIES, MESSAGE_ANNOTATIONS, PROPERTIES, Parts

#: Where the fields of `Incoming` stand in the properties section.
_PLACES = {
    "message_id": 0,
    "to": 2,
    "label": 3,
    "reply_to": 4,
    "correlation_id": 5,
    "content_type": 6,
    "session_id": 10,
    "reply_to_session_id": 12,
}


def rewrite(encoded: bytes, *, system: Mapping[str, str | None], application: Mapping[str, Value], removed: Collection[str] = ()) -> bytes:
    """The message with `system` properties set, named as in `Incoming` (None unsets), and `application` properties set or `removed`."""
    parts = Parts(encoded)
    sections = {section.code: encoded[section.start : section.end] for section in parts.all if section not in parts.bodies}
    if any(name in _PLACES for name in system):
        sections[PROPERTIES] = _section(PROPERTIES, 0xC0, _properties(parts, system))
    if "partition_key" in system:
        sections[MESSAGE_ANNOTATIONS] = _section(
            MESSAGE_ANNOTATIONS,
            0xC1,
            _map_items(parts, MESSAGE_ANNOTATIONS, {symbol(PARTITION_KEY): _or_null(system["partition_key"])}, ()),
        )
    if application or removed:
        changed = {text(key): encode(value) for key, value in application.items()}
        sections[APPLICATION_PROPERTIES] = _section(
            APPLICATION_PROPERTIES, 0xC1, _map_items(parts, APPLICATION_PROPERTIES, changed, removed)
        )
    heads = [sections[code] for code in (MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES) if code in sections]
    body = parts.bodies[0].start if parts.bodies else len(encoded)
    return b"".join((*heads, encoded[body:]))


def _section(code: int, kind: int, items: list[bytes]) -> bytes:
    return bytes((0x00, 0x53, code)) + compound(kind, items)


def _or_null(value: str | None) -> bytes:
    return NULL if value is None else text(value)


def _properties(parts: Parts, system: Mapping[str, str | None]) -> list[bytes]:
    found = parts.sections.get(PROPERTIES)
    items = raw_items(parts.message, *list_items(parts.message, found.value)[:2]) if found else []
    items += [NULL] * (13 - len(items))
    for name, value in system.items():
        if name in _PLACES:
            items[_PLACES[name]] = symbol(value) if name == "content_type" and value is not None else _or_null(value)
    return items


def _map_items(parts: Parts, code: int, changed: Mapping[bytes, bytes], removed: Collection[str]) -> list[bytes]:
    """The entries of a map section, with those that changed in the place of what they replace."""
    found = parts.sections.get(code)
    old = raw_items(parts.message, *list_items(parts.message, found.value)[:2]) if found else []
    gone = {*removed, *(decode_plain(key)[0] for key in changed)}
    kept = [part for key, value in zip(old[::2], old[1::2], strict=False) if decode_plain(key)[0] not in gone for part in (key, value)]
    return kept + [part for pair in changed.items() for part in pair]
