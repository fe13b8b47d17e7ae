from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bridge.local.functions import metadata
from bridge.local.functions.feed import Received, ReceivingClient

PROPERTIES: dict[str, Any] = {
    "messageId": "m",
    "label": "l",
    "deliveryCount": 2,
    "sequenceNumber": 7,
    "enqueuedTime": "2026-11-28T10:00:00.500Z",
    "applicationProperties": {"a": 1},
}


def test_properties_have_the_names_of_the_service_bus_extension() -> None:
    found = metadata.of_message(Received("lock", b"", PROPERTIES, client=ReceivingClient("host", "me")))

    assert {name: value for name, value in found.items() if value not in (None, {})} == {
        "Client": {"FullyQualifiedNamespace": "host", "IsClosed": False, "TransportType": 0, "Identifier": "me"},
        "DeliveryCount": 2,
        "LockToken": "lock",
        "ExpiresAtUtc": "9999-12-31T23:59:59.9999999",
        "ExpiresAt": "9999-12-31T23:59:59.9999999+00:00",
        "EnqueuedTimeUtc": "2026-11-28T10:00:00.5",
        "EnqueuedTime": "2026-11-28T10:00:00.5+00:00",
        "MessageId": "m",
        "SequenceNumber": 7,
        "Subject": "l",
        "Label": "l",
        "ApplicationProperties": {"a": 1},
        "UserProperties": {"a": 1},
    }


def test_what_a_message_does_not_have_is_none_under_its_name() -> None:
    found = metadata.of_message(Received("lock", b"", {}))

    assert [found[name] for name in ("MessageId", "Subject", "CorrelationId", "SessionId", "EnqueuedTime")] == [None] * 5
    assert found["ApplicationProperties"] == {}


def test_a_session_is_told_by_the_end_of_its_lock() -> None:
    found = metadata.of_message(Received("lock", b"", {}, session_until=datetime(2026, 11, 28, 10, tzinfo=UTC)))

    assert found["MessageSession"] == found["SessionActions"] == {"SessionLockedUntil": "2026-11-28T10:00:00+00:00"}
    assert found["ReceiveActions"] == {}


def test_a_batch_has_a_list_for_each_name_with_gaps_where_a_message_has_nothing() -> None:
    found = metadata.of_batch([Received("one", b"", {**PROPERTIES, "partitionKey": "p"}), Received("two", b"", {"messageId": "n"})])

    assert (found["MessageIdArray"], found["SubjectArray"], found["LockTokenArray"]) == (["m", "n"], ["l", None], ["one", "two"])
    assert found["ApplicationPropertiesArray"] == found["UserPropertiesArray"] == [{"a": 1}, {}]
    assert "MessageId" not in found


def test_the_transaction_partition_keys_of_a_batch_are_its_partition_keys_as_in_the_extension() -> None:
    found = metadata.of_batch([Received("one", b"", {"partitionKey": "p", "transactionPartitionKey": "t"})])

    assert found["TransactionPartitionKeyArray"] == ["p"]
