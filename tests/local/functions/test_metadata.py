from __future__ import annotations

from bridge.local.functions.metadata import trigger_metadata


def test_properties_have_the_names_of_the_service_bus_extension() -> None:
    properties = {"messageId": "m", "correlationId": "c", "label": "l", "deliveryCount": 2, "applicationProperties": {"a": 1}}

    assert trigger_metadata("lock", properties) == {
        "MessageId": "m",
        "CorrelationId": "c",
        "Subject": "l",
        "Label": "l",
        "DeliveryCount": 2,
        "LockToken": "lock",
        "ApplicationProperties": {"a": 1},
        "UserProperties": {"a": 1},
    }


def test_properties_that_a_message_does_not_have_are_left_out() -> None:
    assert trigger_metadata("lock", {"messageId": "", "label": None}) == {
        "LockToken": "lock",
        "ApplicationProperties": {},
        "UserProperties": {},
    }
