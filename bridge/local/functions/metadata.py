"""The trigger metadata of a Service Bus message, under the names that the Service Bus extension 5 uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "messageId": ("MessageId",),
    "correlationId": ("CorrelationId",),
    "sessionId": ("SessionId",),
    "label": ("Subject", "Label"),
    "contentType": ("ContentType",),
    "deliveryCount": ("DeliveryCount",),
    "sequenceNumber": ("SequenceNumber",),
    "enqueuedTime": ("EnqueuedTimeUtc",),
    "expiresAt": ("ExpiresAtUtc",),
    "replyTo": ("ReplyTo",),
    "to": ("To",),
    "partitionKey": ("PartitionKey",),
}


def trigger_metadata(lock: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata for a message with these broker properties; what the message does not have is left out."""
    given = {name: properties[key] for key, names in _NAMES.items() for name in names if properties.get(key) not in (None, "")}
    application = dict(properties.get("applicationProperties") or {})
    return {**given, "LockToken": lock, "ApplicationProperties": application, "UserProperties": application}
