"""CloudEvents 1.0 as bytes and headers.

Integers come back exactly, however large; JSON is strict: no NaN, at most 200 levels deep. The official SDK reads through `json.loads`,
which is lenient in both and ten times slower, so it serves as the judge in the tests: it reads what is written here, and the reverse.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from bridge.errors import Malformed, TooLarge, UnsupportedMediaType, Violation

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MAX_BATCH = 10_000  #: events of a batch; each has an answer, which may be a hundred times larger than the event

REQUIRED = ("specversion", "id", "source", "type")
#: Attributes of the specification and of the contract, whose names need no look.
_KNOWN = frozenset(
    (
        *REQUIRED,
        *("subject", "time", "datacontenttype", "correlationid", "causationid", "replytopic", "expirytime", "traceparent", "tracestate"),
        *("invocationtoken", "invocationurl", "authid", "authtime", "authsignature", "inputdigest", "rerunof"),
    )
)
_NAME = re.compile(r"[a-z0-9]{1,20}")
_JSON_TYPE = re.compile(r"[^/;]+/(?:json|[^/;]+\+json)(?:\s*;.*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TIMESTAMP = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent: its context attributes as strings, in the order they came, and its data as a JSON value."""

    attributes: Mapping[str, str]
    data: Any = None

    @property
    def id(self) -> str:
        """The event's id, unique together with its source."""
        return self.attributes["id"]

    @property
    def type(self) -> str:
        """What happened, e.g. `automation.requested`."""
        return self.attributes["type"]

    @property
    def subject(self) -> str:
        """The automation's name; empty if the event has none."""
        return self.attributes.get("subject", "")

    @property
    def correlation_id(self) -> str:
        """The caller's own id for the business flow; the event's id unless it says otherwise."""
        return self.attributes.get("correlationid", self.id)

    def get(self, name: str) -> str:
        """An attribute, or an empty string."""
        return self.attributes.get(name, "")

    def encode(self) -> bytes:
        """The event in the structured JSON format (CloudEvents JSON format 1.0.2, section 3)."""
        return to_json({**self.attributes, "data": self.data})


def parse_json(body: bytes | str) -> Any:
    """Read JSON with exact integers. Raises Malformed with the place of the fault."""
    try:
        value = from_json(body, allow_inf_nan=False)
        written = to_json(value)
        if b"Infinity" in written:
            from_json(written, allow_inf_nan=False)  # 1e400 is read as infinity, which is no JSON; a text with that word is
    except ValueError as fault:
        raise Malformed(
            f"The body is not JSON: {fault}.", hint="Send one JSON value, UTF-8, without NaN, at most 200 levels deep."
        ) from None
    return value


def decode(body: bytes) -> Event:
    """Read one structured event. Raises Malformed, naming every attribute that is wrong."""
    return read(parse_json(body))


def decode_batch(body: bytes) -> list[Event | Malformed]:
    """Read a JSON batch (JSON format 1.0.2, section 4): each item an event, or why it is none.

    Raises Malformed if it is no array, TooLarge if it has more than MAX_BATCH items.
    """
    items = parse_json(body)
    if not isinstance(items, list):
        raise Malformed("A batch is a JSON array of events.", hint=f"Send a single event as {STRUCTURED}.")
    if len(items) > MAX_BATCH:
        raise TooLarge(f"The batch has {len(items):,} events; {MAX_BATCH:,} are allowed.", hint="Send several batches.")
    events: list[Event | Malformed] = []
    for item in items:
        try:
            events.append(read(item))
        except Malformed as fault:
            events.append(fault)
    return events


def decode_http(headers: Mapping[str, str], body: bytes) -> Event:
    """Read an event from HTTP, structured or binary (HTTP binding 1.0.2, section 3). Header names are in lower case.

    Raises UnsupportedMediaType or Malformed.
    """
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return decode(body)
    if "ce-specversion" not in headers:
        raise UnsupportedMediaType(
            f"{repr(content_type[:100]) if content_type else 'No content type'} is not a CloudEvent.",
            hint=f"Send {STRUCTURED}, {BATCH}, or binary mode: `ce-*` headers with application/json.",
        )
    if media_type and not _JSON_TYPE.fullmatch(content_type):
        raise UnsupportedMediaType(f"The data of an automation event is JSON, not {content_type[:100]!r}.", hint="Send application/json.")
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    if media_type:
        attributes["datacontenttype"] = content_type
    return _checked(attributes, parse_json(body) if body else None)


def read(value: Any) -> Event:
    """Make an event of a decoded JSON object. Raises Malformed, naming every attribute that is wrong."""
    if not isinstance(value, dict):
        raise Malformed("An event is a JSON object.", hint="See the CloudEvents JSON format, section 3.")
    attributes: dict[str, str] = {}
    problems: list[Violation] = []
    for name, content in value.items():
        if name in ("data", "data_base64") or content is None:
            continue
        if isinstance(content, bool):
            attributes[name] = "true" if content else "false"
        elif isinstance(content, str | int):
            attributes[name] = str(content)
        else:
            problems.append(_violation(name, "type", f"{_shown(name)} must be a string, an integer or true/false"))
    return _checked(attributes, _data(value, problems), problems)


def _data(value: Mapping[str, Any], problems: list[Violation]) -> Any:
    if "data" in value and "data_base64" in value:
        problems.append(_violation("data_base64", "either", "an event has data or data_base64, not both"))
    elif "data_base64" in value:
        try:
            return parse_json(base64.b64decode(value["data_base64"], validate=True))
        except (binascii.Error, TypeError, ValueError, Malformed):
            problems.append(_violation("data_base64", "base64", "data_base64 must be JSON in base64"))
    return value.get("data")


def _checked(attributes: dict[str, str], data: Any, problems: list[Violation] | None = None) -> Event:
    problems = problems if problems is not None else []
    problems += [_violation(name, "required", f"{name} is missing") for name in REQUIRED if not attributes.get(name)]
    problems += [
        _violation(name, "name", f"{name[:100]!r} is not an attribute name: 1 to 20 of a-z and 0-9, and not data")
        for name in attributes.keys() - _KNOWN
        if not _NAME.fullmatch(name) or name == "data"
    ]
    if _CONTROL.search("".join(attributes.values())):
        broken = (name for name, text in attributes.items() if _CONTROL.search(text))
        problems += [_violation(name, "characters", f"{_shown(name)} has control characters") for name in broken]
    if attributes.get("specversion", "1.0") != "1.0":
        problems.append(_violation("specversion", "enum", f"specversion must be 1.0, not {attributes['specversion'][:20]!r}"))
    content_type = attributes.get("datacontenttype", "application/json")
    if not _JSON_TYPE.fullmatch(content_type):
        problems.append(_violation("datacontenttype", "json", f"the data of an automation event is JSON, not {content_type[:100]!r}"))
    if "time" in attributes and timestamp(attributes["time"]) is None:
        problems.append(_violation("time", "timestamp", f"time must be RFC 3339, not {attributes['time'][:40]!r}"))
    if problems:
        said = "; ".join(problem["detail"] for problem in problems[:10])
        raise Malformed(
            f"This is not a CloudEvent 1.0: {said}.", hint="See https://cloudevents.io, specification 1.0.", errors=problems[:100]
        )
    return Event(attributes, data)


def _violation(name: str, rule: str, detail: str) -> Violation:
    return Violation(pointer="/" + name[:100].replace("~", "~0").replace("/", "~1"), rule=rule, detail=detail)


def _shown(name: str) -> str:
    """A name as it is, or, if it is none, such that it can neither fill nor forge a line."""
    return name if _NAME.fullmatch(name) else repr(name[:100])


def timestamp(text: str) -> datetime | None:
    """Read an RFC 3339 timestamp; None if it is none or lacks its offset."""
    if "T" not in text.upper():
        return None
    try:
        moment = _TIMESTAMP.validate_strings(text)
    except ValidationError:
        return None
    return moment if moment.tzinfo else None
