"""CloudEvents 1.0 and their JSON format, alone and in batches. `bridge.cloudevents.httpbinding` has how they travel in headers.

Integers come back exactly, however large, and JSON is read strictly (`bridge.jsontext`). The official SDK uses `json.loads`, which is
lenient and ten times slower. So the SDK is used in the tests only: it reads what this module writes, and the reverse.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema, from_json, to_json

from bridge.errors import Malformed, TooLarge, Violation
from bridge.jsontext import read_json, read_unique_json, readable_members, repeated_names, repeated_names_of_items

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LARGE = 64 * 1024  #: bytes of JSON data from which on the value is read when it is needed and not kept: it may take twenty times as much
_MOST_PROBLEMS = 100  #: listed of one event
MAX_BATCH = 10_000  #: events of a batch; each gets an answer, which may be a hundred times larger than the event

REQUESTED = "automation.requested"  #: the event whose data a caller wrote
REQUIRED = ("specversion", "id", "source", "type")
#: Attributes of the specification and of the contract, whose names need no check.
_KNOWN = frozenset(
    (
        *REQUIRED,
        *("subject", "time", "datacontenttype", "correlationid", "causationid", "replytopic", "expirytime", "traceparent", "tracestate"),
        *("invocationtoken", "invocationurl", "authid", "authtime", "authsignature", "inputdigest", "rerunof"),
    )
)
_NAME = re.compile(r"[a-z0-9]+")  #: the specification advises against more than 20 characters, and does not forbid them
JSON_TYPE = re.compile(r"[^/;]+/(?:json|[^/;]+\+json)(?:\s*;.*)?", re.IGNORECASE)
#: What no attribute may hold: control characters, and the code points that Unicode reserves as noncharacters.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)) + "]"
)
_TIMESTAMP = TypeAdapter(datetime)


class Event:
    """One CloudEvent: its context attributes as strings, in the order they came, and its data.

    The data is given as a JSON value, as JSON bytes, or as both. The missing form is made on first use; of large data only bytes are kept.
    """

    __slots__ = ("_data", "_data_json", "attributes")

    def __init__(self, attributes: Mapping[str, str], data: Any = None, data_json: bytes = b"") -> None:
        self.attributes = attributes
        self._data = _UNREAD if (data is None and data_json) or len(data_json) > LARGE else data
        self._data_json = data_json

    @property
    def data(self) -> Any:
        """The data as a JSON value."""
        if self._data is not _UNREAD:
            return self._data
        value = from_json(self._data_json)
        if len(self._data_json) <= LARGE:
            self._data = value
        return value

    @property
    def data_json(self) -> bytes:
        """The data as JSON bytes, encoded at most once."""
        if not self._data_json:
            self._data_json = to_json(self._data)
        return self._data_json

    @property
    def id(self) -> str:
        """The event's id, unique together with its source."""
        return self.attributes["id"]

    @property
    def type(self) -> str:
        """The kind of event, such as `automation.requested`."""
        return self.attributes["type"]

    @property
    def subject(self) -> str:
        """The automation's name; empty if the event has none."""
        return self.attributes.get("subject", "")

    @property
    def correlation_id(self) -> str:
        """The caller's own id for the request; by default the event's id."""
        return self.attributes.get("correlationid", self.id)

    def get(self, name: str) -> str:
        """An attribute, or an empty string."""
        return self.attributes.get(name, "")

    def encode(self) -> bytes:
        """The event in the structured JSON format (CloudEvents JSON format 1.0.2, section 3)."""
        return b'%b,"data":%b}' % (to_json(self.attributes)[:-1], self.data_json)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self.attributes == other.attributes and self.data == other.data

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> CoreSchema:
        # A message is stored without its event, because the body contains the same.
        return core_schema.none_schema()

    __hash__ = None  # type: ignore[assignment]  # the data may be a mapping

    def __repr__(self) -> str:
        return f"Event({dict(self.attributes)!r}, {self.data!r})"


_UNREAD = object()


def decode(body: bytes) -> Event:
    """Read one structured event. Raises Malformed, naming every attribute that is wrong."""
    value, written = read_json(body)
    event = _read(value, repeated_names(body, written))
    return event if len(body) <= LARGE else Event(event.attributes, None, event.data_json)


def decode_batch(body: bytes) -> list[Event | Malformed]:
    """Read a JSON batch (JSON format 1.0.2, section 4): for each item its event, or the reason why it is none.

    Raises Malformed if it is no array, TooLarge if it has more than MAX_BATCH items.
    """
    items, written = read_json(body)
    if not isinstance(items, list):
        raise Malformed("A batch is a JSON array of events.", hint=f"Send a single event as {STRUCTURED}.")
    if len(items) > MAX_BATCH:
        raise TooLarge(f"The batch has {len(items):,} events; {MAX_BATCH:,} are allowed.", hint="Send several batches.")
    events: list[Event | Malformed] = []
    for item, repeated in zip(items, repeated_names_of_items(body, written, items), strict=True):
        try:
            events.append(_read(item, repeated))
        except Malformed as fault:
            events.append(fault)
    return events


def usable_part(body: bytes) -> Event | None:
    """What can be used of a request that `decode` refused: its attributes that are valid, and its data if that is JSON.

    None if it is no JSON object, is an event of another type, or names no id: such an event cannot become a run.
    """
    try:
        value, ambiguous = _members(body)
    except ValueError:
        return None
    if not isinstance(value, dict) or value.get("type") not in (None, "", REQUESTED) or "" in ambiguous:
        return None
    attributes = {
        name: text
        for name, content in value.items()
        if (text := _text(content)) is not None
        and _NAME.fullmatch(name)
        and f"/{name}" not in ambiguous
        and name != "data"
        and not _CONTROL.search(text)
    }
    named = "id" if value.get("correlationid") is None else "correlationid"
    if named not in attributes:
        return None
    try:
        data, written = read_json(to_json(_data(value, [])))
    except Malformed:
        data, written = None, b""
    return Event({"id": "", "type": REQUESTED, **attributes}, data, written)


def _members(body: bytes) -> tuple[Any, set[str]]:
    """What can be read of a body, and the pointers to names in it that stand more than once. Raises ValueError."""
    try:
        value = from_json(body)
    except ValueError:
        return readable_members(body), set()
    return value, {each["pointer"] for each in repeated_names(body, to_json(value))}


def read(value: Any) -> Event:
    """Make an event of a decoded JSON object. Raises Malformed, naming every attribute that is wrong."""
    return _read(value, [])


def _read(value: Any, repeated: list[Violation]) -> Event:
    if not isinstance(value, dict):
        raise Malformed("An event is a JSON object.", hint="See the CloudEvents JSON format, section 3.")
    attributes: dict[str, str] = {}
    # What a function returns as its output is its own: a name that appears twice in there must not lose the result.
    problems = [each for each in repeated if value.get("type") == REQUESTED or _is_attribute(each["pointer"])]
    for name, content in value.items():
        if name in ("data", "data_base64") or content is None:
            continue
        if (text := _text(content)) is not None:
            attributes[name] = text
        else:
            problems.append(violation(name, "type", f"{_shown(name)} must be a string, an integer or true/false"))
    return checked(attributes, _data(value, problems), problems)


def _is_attribute(pointer: str) -> bool:
    """Whether the pointer leads to an attribute of an event, or to all of its data."""
    return pointer.count("/") == 1


def _text(content: Any) -> str | None:
    """The canonical string of an attribute's value (specification 1.0.2, type system); None if it is of no type that one may have."""
    if isinstance(content, str):
        return content
    if isinstance(content, bool):
        return "true" if content else "false"
    return str(content) if isinstance(content, int) else None


def _data(value: Mapping[str, Any], problems: list[Violation]) -> Any:
    if "data" in value and "data_base64" in value:
        problems.append(violation("data_base64", "either", "an event has data or data_base64, not both"))
    elif "data_base64" in value:
        try:
            return read_unique_json(base64.b64decode(value["data_base64"], validate=True))[0]
        except Malformed as fault:
            within = [
                Violation(pointer=f"/data_base64{each['pointer']}", rule=each["rule"], detail=each["detail"]) for each in fault.errors
            ]
            problems += within or [violation("data_base64", "base64", "data_base64 must be JSON in base64")]
        except (binascii.Error, TypeError, ValueError):
            problems.append(violation("data_base64", "base64", "data_base64 must be JSON in base64"))
    return value.get("data")


def checked(attributes: Mapping[str, str], data: Any, problems: list[Violation]) -> Event:
    """The event, if it keeps the specification and `problems` is empty. Raises Malformed with those and whatever else is wrong."""
    problems += [violation(name, "required", f"{name} is missing") for name in REQUIRED if not attributes.get(name)]
    problems += [
        violation(name, "name", f"{name[:100]!r} is not an attribute name: a-z and 0-9, and not data")
        for name in attributes.keys() - _KNOWN
        if not _NAME.fullmatch(name) or name == "data"
    ]
    if _CONTROL.search("".join(attributes.values())):
        broken = (name for name, text in attributes.items() if _CONTROL.search(text))
        problems += [violation(name, "characters", f"{_shown(name)} has control characters or noncharacters") for name in broken]
    if attributes.get("specversion", "1.0") != "1.0":
        problems.append(violation("specversion", "enum", f"specversion must be 1.0, not {attributes['specversion'][:20]!r}"))
    content_type = attributes.get("datacontenttype", "application/json")
    if not JSON_TYPE.fullmatch(content_type):
        problems.append(violation("datacontenttype", "json", f"the data of an automation event is JSON, not {content_type[:100]!r}"))
    if "time" in attributes and timestamp(attributes["time"]) is None:
        problems.append(violation("time", "timestamp", f"time must be RFC 3339, not {attributes['time'][:40]!r}"))
    if problems:
        said = "; ".join(problem["detail"] for problem in problems[:10])
        raise Malformed(
            f"This is not a CloudEvent 1.0: {said}.",
            hint="See https://cloudevents.io, specification 1.0.",
            errors=problems[:_MOST_PROBLEMS],
        )
    return Event(attributes, data)


def violation(name: str, rule: str, detail: str) -> Violation:
    """What is wrong with the attribute of that name."""
    return Violation(pointer="/" + name[:100].replace("~", "~0").replace("/", "~1"), rule=rule, detail=detail)


def _shown(name: str) -> str:
    """A name as it is; a text that is no valid name is shortened and escaped, so that it cannot fill or forge a log line."""
    return name if len(name) <= 100 and _NAME.fullmatch(name) else repr(name[:100])


def is_json(content_type: object) -> bool:
    """Whether data of this content type is JSON; so is data without one."""
    return content_type is None or (isinstance(content_type, str) and JSON_TYPE.fullmatch(content_type) is not None)


def timestamp(text: str) -> datetime | None:
    """Read an RFC 3339 timestamp. None if the text is none, or has no offset."""
    if "T" not in text.upper():
        return None
    try:
        moment = _TIMESTAMP.validate_strings(text)
    except ValidationError:
        return None
    return moment if moment.tzinfo else None
