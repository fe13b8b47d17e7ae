"""The trigger metadata of Service Bus messages, under the names and in the order of the Service Bus extension 5.

Times are text as .NET writes them: those in UTC without an offset, the others with `+00:00`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

from bridge.local.functions.feed import Received

OBJECTS = frozenset({"MessageReceiver", "MessageSession", "MessageActions", "SessionActions", "ReceiveActions", "Client"})
TIMES = frozenset({"EnqueuedTimeUtc", "EnqueuedTime", "ExpiresAtUtc", "ExpiresAt"})
_TEXTS = (
    *("DeadLetterSource", "LockToken", "MessageId", "ContentType", "ReplyTo", "To", "Subject", "Label", "CorrelationId"),
    *("SessionId", "ReplyToSessionId", "PartitionKey", "TransactionPartitionKey"),
)
#: Names of a batch whose lists the extension has as arrays of texts and of whole numbers; to .NET the others are JSON.
TEXT_LISTS, NUMBER_LISTS = frozenset(f"{name}Array" for name in _TEXTS), frozenset({"SequenceNumberArray"})
_NEVER = "9999-12-31T23:59:59.9999999"


def of_message(received: Received) -> dict[str, Any]:
    """The metadata of one message: every name, with None for what the message does not have."""
    return {**dict(_objects(received)), **dict(_entries(received))}


def of_batch(batch: Sequence[Received]) -> dict[str, Any]:
    """The metadata of a batch: a list for each name, in the order of the messages, with None where a message has none."""
    found: dict[str, Any] = dict(_objects(batch[0]))
    for received in batch:
        for name, value in _entries(received):
            found.setdefault(f"{name}Array", []).append(value)
    found["TransactionPartitionKeyArray"] = found["PartitionKeyArray"]  # the extension fills it from the wrong property
    return found


def _objects(received: Received) -> Iterator[tuple[str, Any]]:
    """Objects of .NET that functions in other languages cannot use; what can be shown of them is."""
    until = received.session_until
    session = {} if until is None else {"SessionLockedUntil": f"{_trimmed(until.astimezone(UTC).isoformat().removesuffix('+00:00'))}+00:00"}
    for name in ("MessageReceiver", "MessageSession", "MessageActions", "SessionActions"):
        yield name, session
    yield "ReceiveActions", {}
    client = received.client
    yield (
        "Client",
        {"FullyQualifiedNamespace": client.namespace, "IsClosed": False, "TransportType": 0, "Identifier": client.identifier},
    )


def _entries(received: Received) -> Iterator[tuple[str, Any]]:
    properties = received.properties
    expires, enqueued = _time(properties, "expiresAt") or _NEVER, _time(properties, "enqueuedTime")
    application = dict(properties.get("applicationProperties") or {})
    yield "DeliveryCount", properties.get("deliveryCount")
    yield "DeadLetterSource", properties.get("deadLetterSource")
    yield "LockToken", received.lock
    yield from _twice("ExpiresAt", expires)
    yield from _twice("EnqueuedTime", enqueued)
    yield "MessageId", properties.get("messageId")
    yield "ContentType", properties.get("contentType")
    yield "ReplyTo", properties.get("replyTo")
    yield "SequenceNumber", properties.get("sequenceNumber")
    yield "To", properties.get("to")
    yield "Subject", properties.get("label")
    yield "Label", properties.get("label")
    yield "CorrelationId", properties.get("correlationId")
    yield "ApplicationProperties", application
    yield "UserProperties", application
    yield "SessionId", properties.get("sessionId")
    yield "ReplyToSessionId", properties.get("replyToSessionId")
    yield "PartitionKey", properties.get("partitionKey")
    yield "TransactionPartitionKey", properties.get("transactionPartitionKey")


def _twice(name: str, time: str) -> Iterator[tuple[str, str | None]]:
    """A time without an offset, and with one."""
    yield f"{name}Utc", time or None
    yield name, f"{time}+00:00" if time else None


def _time(properties: Mapping[str, Any], name: str) -> str:
    """A time in UTC without its zone; nothing without one."""
    return _trimmed(str(properties.get(name) or "").removesuffix("Z"))


def _trimmed(time: str) -> str:
    return time.rstrip("0").rstrip(".") if "." in time else time
