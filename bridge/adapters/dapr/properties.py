"""A message's properties as Dapr's metadata: how each kind of bus is told, and how a delivery tells.

A delivery brings them as HTTP headers. Service Bus prefixes each with `metadata.` itself; for the other buses it is done here, so that no
property can pass for a header of the request. A header takes printable ASCII only: one line feed in a property and the sidecar could never
deliver the message. What does not fit is replaced by its hash; nothing reads these properties for what they say, for all that matters is
inside the event.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bridge.adapters.dapr.sidecar import Component
from bridge.ports import Delivery, Message

CLOUDEVENTS = "application/cloudevents+json"

_PREFIX = "metadata."
_FITS = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?")  # 128 is the longest MessageId and SessionId of Service Bus
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_OWN = {"messageid", "correlationid", "label", "contenttype"}
#: What a broker says of a dead letter, as those who read it spell it: headers lose the capitals.
_OF_A_DEAD_LETTER = {name.lower(): name for name in ("DeadLetterReason", "DeadLetterErrorDescription", "deliveryCount")}
_OF_THE_BUS = {"rawpayload", "ttlinseconds", "pubsubname", "lockeduntilutc", "locktoken", "enqueuedtimeutc", "sequencenumber"}


def is_service_bus(component: Component) -> bool:
    """Whether messages have Service Bus's own properties, and a time before which they are not delivered."""
    return component.type.startswith("pubsub.azure.servicebus")


def to_metadata(message: Message, component: Component, now: datetime) -> dict[str, str]:
    """What the sidecar is told with the message."""
    given = {
        "MessageId": message.message_id,
        "CorrelationId": message.correlation_id,
        "Label": message.label,
        "ContentType": message.content_type,
        **{name: value for name, value in message.properties.items() if _NAME.fullmatch(name)},
    }
    prefix = "" if is_service_bus(component) else _PREFIX
    told = {f"{prefix}{name}": _fitting(value) for name, value in given.items() if value}
    if message.time_to_live is not None:
        told["ttlInSeconds"] = str(max(math.ceil(message.time_to_live.total_seconds()), 1))
    if is_service_bus(component) and message.deliver_at is not None and message.deliver_at > now:
        told["ScheduledEnqueueTimeUtc"] = message.deliver_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"rawPayload": "true", **told}


def to_delivery(source: str, body: bytes, headers: Mapping[str, str], *, dead_letters: bool = False) -> Delivery:
    """The delivery that the sidecar has brought; `headers` with their names in any case.

    `dead_letters`: a broker forwards its dead letters to this source and says why. Anywhere else that is the word of a sender, who could
    make any message look like one that was given up.
    """
    told = {name.lower().removeprefix(_PREFIX): value for name, value in headers.items() if name.lower().startswith(_PREFIX)}
    left_out = _OWN | _OF_THE_BUS | (set() if dead_letters else _OF_A_DEAD_LETTER.keys()) | {"x-opt-deadletter-source"}
    properties = {_OF_A_DEAD_LETTER.get(name, name): value for name, value in told.items() if name not in left_out}
    count = told.get("deliverycount", "")
    return Delivery(
        source,
        Message(
            topic=source.partition("/")[0],
            body=body,
            message_id=told.get("messageid", ""),
            correlation_id=told.get("correlationid", ""),
            label=told.get("label", ""),
            content_type=told.get("contenttype", CLOUDEVENTS),
            properties=properties,
        ),
        attempt=int(count) if count.isdecimal() and int(count) > 0 else 1,
        enqueued_at=_moment(told.get("enqueuedtimeutc", "")),
    )


def _fitting(value: str) -> str:
    return value if _FITS.fullmatch(value) else f"sha256:{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()}"


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
