"""Converts the properties of a message to Dapr's metadata and back, for each kind of bus.

On delivery they are headers. The Service Bus component prefixes each with `metadata.`. For other buses this module does it, so that no
property can be mistaken for a header of the request. Only printable ASCII is allowed in a header: with a line feed in one property, the
sidecar could never deliver the message. Values that do not fit are replaced by their hash. Nothing reads these values, because everything
important is inside the event.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bridge.adapters.dapr.sidecar import Component
from bridge.ports import Delivery, Message

CLOUDEVENTS = "application/cloudevents+json"

_PREFIX = "metadata."
_FITS = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_LONGEST_ID, _LONGEST = 128, 2_000  # characters: of the ids of Service Bus; of any other property
_IDS = ("MessageId", "CorrelationId", "SessionId", "Label")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
#: What a broker says of a dead letter, as those who read it spell it: headers lose the capitals.
_OF_A_DEAD_LETTER = {name.lower(): name for name in ("DeadLetterReason", "DeadLetterErrorDescription", "deliveryCount")}
#: Metadata of a delivery that is no property of the message: it has a field of its own, or the bus has added it.
_NOT_PROPERTIES = frozenset({"messageid", "correlationid", "label", "contenttype", "x-opt-deadletter-source"}) | {
    "rawpayload",
    "ttlinseconds",
    "pubsubname",
    "lockeduntilutc",
    "locktoken",
    "enqueuedtimeutc",
    "sequencenumber",
    "sessionid",
}


def is_service_bus(component: Component) -> bool:
    """Whether messages have Service Bus's own properties and can be scheduled."""
    return component.type.startswith("pubsub.azure.servicebus")


def to_metadata(message: Message, component: Component, now: datetime) -> dict[str, str]:
    """The metadata with which a message is published."""
    given = {
        "MessageId": message.message_id,
        "CorrelationId": message.correlation_id,
        "Label": message.label,
        "ContentType": message.content_type,
        # So that requesters may read their replies from a subscription with sessions; one without ignores it.
        **({"SessionId": message.correlation_id} if is_service_bus(component) else {}),
        **{name: value for name, value in message.properties.items() if _NAME.fullmatch(name)},
    }
    prefix = "" if is_service_bus(component) else _PREFIX
    metadata = {f"{prefix}{name}": _fitting(value, _LONGEST_ID if name in _IDS else _LONGEST) for name, value in given.items() if value}
    if message.time_to_live is not None:
        metadata["ttlInSeconds"] = str(max(math.ceil(message.time_to_live.total_seconds()), 1))
    if is_service_bus(component) and message.deliver_at is not None and message.deliver_at > now:
        metadata["ScheduledEnqueueTimeUtc"] = message.deliver_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"rawPayload": "true", **metadata}


def to_delivery(source: str, body: bytes, headers: Iterable[tuple[str, str]], *, dead_letters: bool = False) -> Delivery:
    """The delivery with these `headers`, whose names may have any letter case.

    `dead_letters` says that a broker forwards its dead letters to this source and gives the reason. From any other source such a reason is
    ignored, because senders could use it to make any message look like a dead letter.
    """
    metadata = {lower.removeprefix(_PREFIX): value for name, value in headers if (lower := name.lower()).startswith(_PREFIX)}
    left_out = _NOT_PROPERTIES if dead_letters else _NOT_PROPERTIES | _OF_A_DEAD_LETTER.keys()
    properties = {_OF_A_DEAD_LETTER.get(name, name): value for name, value in metadata.items() if name not in left_out}
    count = metadata.get("deliverycount", "")
    return Delivery(
        source,
        Message(
            topic=source.partition("/")[0],
            body=body,
            message_id=metadata.get("messageid", ""),
            correlation_id=metadata.get("correlationid", ""),
            label=metadata.get("label", ""),
            content_type=metadata.get("contenttype", CLOUDEVENTS),
            properties=properties,
        ),
        attempt=int(count) if count.isdecimal() and int(count) > 0 else 1,
        enqueued_at=_moment(metadata.get("enqueuedtimeutc", "")),
    )


def _fitting(value: str, longest: int) -> str:
    return (
        value
        if len(value) <= longest and _FITS.fullmatch(value)
        else f"sha256:{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()}"
    )


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
