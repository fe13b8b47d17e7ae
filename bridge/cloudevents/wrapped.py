"""What Dapr makes of a message that is published without the content type of a CloudEvent, and how its sender mends it.

Dapr puts such a message as data into an event of its own: type `com.dapr.event.sent`, a random id, no subject. The publisher is told of a
success, so the dead letter is the only place that can say why nothing happened. Source: pkg/runtime/pubsub/cloudevents.go of Dapr 1.18.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from bridge.cloudevents import REQUESTED, STRUCTURED, is_json
from bridge.errors import Malformed, Refusal
from bridge.jsontext import parse_json

Refused = TypeVar("Refused", bound=Refusal)

TYPE = "com.dapr.event.sent"  #: the type that Dapr gives an event which has none
#: All that an event of Dapr's own can have; it always has a datacontenttype and data.
_ATTRIBUTES = frozenset({"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "data_base64"}) | {
    "topic",
    "pubsubname",
    "expiration",
    "traceid",
    "traceparent",
    "tracestate",
}
_WHOLE = f"Publish a whole CloudEvent, with the content type {STRUCTURED}"
_SEE = "docs/dapr.md shows each way to publish."


def explained(refusal: Refused, body: bytes, *, requests: bool) -> Refused | Malformed:
    """Why the event in `body` was refused, if it was Dapr that made it what it is; otherwise the refusal as it is.

    `requests`: it came from a topic on which requests are taken; those may be wrapped, if Dapr is told the attributes.
    """
    try:
        event = parse_json(body)
    except Malformed:
        return refusal
    if not isinstance(event, dict) or "pubsubname" not in event:
        return refusal
    if event.get("type") != TYPE and is_json(event.get("datacontenttype")):
        return refusal
    if not _is_daprs_own(event):
        detail = f"It was published through Dapr as a CloudEvent and is none: Dapr added what was missing, such as the type {TYPE}."
        return Malformed(detail, hint=f"Send id, source, type, subject and data as CloudEvents 1.0 has them. {_SEE}")
    detail = f"Dapr wrapped it: it was published without the content type {STRUCTURED}, so it became the data of an event of Dapr's own"
    return Malformed(f"{detail} ({_named(event)}).", hint=f"{_mend(event, requests=requests)} {_SEE}")


def _is_daprs_own(event: Mapping[str, Any]) -> bool:
    """Whether Dapr made the event; otherwise it only added what was missing in somebody else's."""
    return event.keys() <= _ATTRIBUTES and "datacontenttype" in event and not event.keys().isdisjoint({"data", "data_base64"})


def _named(event: Mapping[str, Any]) -> str:
    shown = {"type": event.get("type"), "id": event.get("id"), "datacontenttype": event.get("datacontenttype")}
    return ", ".join(f"{name} {str(value)[:100]!r}" for name, value in shown.items() if value)


def _mend(event: Mapping[str, Any], *, requests: bool) -> str:
    if _is_event(event):
        return f"Its data is a CloudEvent already: publish that with the content type {STRUCTURED}."
    if not requests:
        return f"{_WHOLE}: metadata of Dapr cannot carry correlationid, causationid and invocationtoken."
    return f"{_WHOLE}; or let Dapr wrap it with {', '.join(_missing(event))}."


def _missing(event: Mapping[str, Any]) -> Iterator[str]:
    if not is_json(event.get("datacontenttype")):
        yield "the content type application/json"
    if event.get("type") != REQUESTED:
        yield f"the metadata cloudevent.type={REQUESTED}"
    if not event.get("subject"):
        yield "cloudevent.subject=<name of the automation>"
    yield "cloudevent.id=<your correlation id>"


def _is_event(event: Mapping[str, Any]) -> bool:
    """Whether what was wrapped is a CloudEvent itself, as an object, as text or as bytes."""
    data = event.get("data", event.get("data_base64"))
    if isinstance(data, str):
        with suppress(Malformed, binascii.Error, ValueError):
            data = parse_json(data if "data" in event else base64.b64decode(data, validate=True))
    return isinstance(data, dict) and "specversion" in data and "type" in data
