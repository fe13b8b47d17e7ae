"""The HTTP protocol binding of CloudEvents 1.0.2: structured mode, and binary mode with its attributes in headers.

The bridge itself publishes in structured mode only, so nothing here writes headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from bridge.cloudevents import BATCH, JSON_TYPE, STRUCTURED, Event, checked, decode, violation
from bridge.errors import UnsupportedMediaType, Violation
from bridge.jsontext import read_unique_json, require_utf_8

_PREFIX = "ce-"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def decode_http(headers: Mapping[str, str], body: bytes) -> Event:
    """Read an event from HTTP, structured or binary (section 3). Header names are in lower case, values as ISO 8859-1 reads their bytes.

    Raises UnsupportedMediaType or Malformed.
    """
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    require_utf_8(content_type)
    if media_type == STRUCTURED:
        return decode(body)
    if not any(name.startswith(_PREFIX) for name in headers):
        raise UnsupportedMediaType(
            f"{repr(content_type[:100]) if content_type else 'No content type'} is not a CloudEvent.",
            hint=f"Send {STRUCTURED}, {BATCH}, or binary mode: `ce-*` headers with application/json.",
        )
    if media_type and not JSON_TYPE.fullmatch(content_type):
        raise UnsupportedMediaType(f"The data of an automation event is JSON, not {content_type[:100]!r}.", hint="Send application/json.")
    problems: list[Violation] = []
    attributes = _attributes(headers, problems)
    if media_type and attributes.setdefault("datacontenttype", content_type) != content_type:
        problems.append(violation("datacontenttype", "header", "ce-datacontenttype differs from the header Content-Type"))
    value, written = read_unique_json(body) if body else (None, b"")
    event = checked(attributes, value, problems)
    return Event(event.attributes, value, written)


def _attributes(headers: Mapping[str, str], problems: list[Violation]) -> dict[str, str]:
    attributes = {}
    for name, value in headers.items():
        if name.startswith(_PREFIX):
            attribute = name[len(_PREFIX) :]
            try:
                attributes[attribute] = decoded(value) if "%" in value or '"' in value or not value.isascii() else value
            except UnicodeError:
                problems.append(violation(attribute, "encoding", f"the header {name[:100]!r} is not UTF-8 in percent-encoding"))
                attributes[attribute] = value
    return attributes


def decoded(value: str) -> str:
    """The text that a header's value stands for (section 3.1.3.2): without the quotes around it, then percent-decoded once.

    Bytes beyond ASCII are taken as they are if they are UTF-8. Raises UnicodeError for what is not UTF-8, encoded or not.
    """
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        value = _ESCAPED.sub(r"\1", quoted[1])
    return unquote_to_bytes(value.encode("latin-1")).decode()
