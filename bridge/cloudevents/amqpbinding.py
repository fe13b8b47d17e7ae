"""CloudEvents in AMQP messages (CloudEvents AMQP protocol binding 1.0.2): structured mode, and binary mode with its attributes as
application properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pydantic_core import from_json, to_json

from bridge import cloudevents
from bridge.cloudevents import Event
from bridge.errors import Malformed

PREFIXES = ("cloudEvents:", "cloudEvents_")  #: of application properties; the second is for clients whose names may have no colon
_TIMES = frozenset(("time", "expirytime"))
_MILLISECONDS, _EPOCH = re.compile("[0-9]{1,14}"), datetime(1970, 1, 1, tzinfo=UTC)  # until the year 5138
_NO_ATTRIBUTES = frozenset(("data", "data_base64"))


def decode(content_type: str, properties: Mapping[str, str], body: bytes) -> Event:
    """Read an event from a message, whose application properties are given as text. Raises Malformed.

    A message is in binary mode if it names the specification's version among its properties and its content type is not that of
    structured mode; anything else is read as structured, because not every sender sets the content type.
    """
    if not properties or content_type.partition(";")[0].strip().lower() == cloudevents.STRUCTURED or not _is_binary(properties):
        return cloudevents.decode(body)
    attributes = dict(_attribute(name, value) for name, value in properties.items() if name.startswith(PREFIXES))
    if forbidden := _NO_ATTRIBUTES & attributes.keys():
        raise Malformed(f"The property {PREFIXES[0]}{min(forbidden)} is no attribute.", hint="Send the data in the body.")
    if content_type:
        attributes["datacontenttype"] = content_type
    # The same event in structured mode. The body was read before, so it is one JSON value and cannot add attributes.
    return cloudevents.decode(b'%b,"data":%b}' % (to_json(attributes)[:-1], _data(body)))


def _data(body: bytes) -> bytes:
    if not body:
        return b"null"
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as fault:
        raise Malformed(f"The body is not JSON: {fault}.", hint="Send one JSON value, UTF-8, at most 200 levels deep.") from None
    return body


def _is_binary(properties: Mapping[str, str]) -> bool:
    return any(f"{prefix}specversion" in properties for prefix in PREFIXES)


def _attribute(name: str, value: str) -> tuple[str, str]:
    """An attribute by its own name. Some clients send times as milliseconds since 1970, among them the SDK of CloudEvents for Python."""
    name = name[len(PREFIXES[0]) :]
    if name in _TIMES and _MILLISECONDS.fullmatch(value):
        value = (_EPOCH + timedelta(milliseconds=int(value))).isoformat()
    return name, value
