"""A message's properties on their way through the sidecar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.adapters.dapr.metadata import to_delivery, to_metadata
from bridge.adapters.dapr.sidecar import Component
from bridge.ports import Message

SERVICE_BUS = Component("bus", "pubsub.azure.servicebus.topics")
REDIS = Component("bus", "pubsub.redis")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MESSAGE = Message("topic", b"", "m-1", "c-1", "certificate.inspect", properties={"region": "west"})


def delivered(message, component):
    """The headers that the component makes of the metadata: Service Bus prefixes its own, the others take them as they are."""
    told = to_metadata(message, component, NOW)
    prefix = "metadata." if component is SERVICE_BUS else ""
    headers = {f"{prefix}{name}".lower(): value for name, value in told.items()}
    of_the_request = {"content-type": "application/cloudevents+json", "dapr-api-token": "secret"}
    return to_delivery("topic/bridge", message.body, {**headers, **of_the_request}.items())


@pytest.mark.parametrize("component", [SERVICE_BUS, REDIS], ids=lambda each: each.type)
def test_properties_arrive(component):
    assert delivered(MESSAGE, component).message == MESSAGE


def test_service_bus_gets_its_own_properties():
    told = to_metadata(MESSAGE, SERVICE_BUS, NOW)
    assert (told["MessageId"], told["CorrelationId"], told["Label"]) == ("m-1", "c-1", "certificate.inspect")
    assert told["ContentType"] == "application/cloudevents+json"


def test_the_session_of_a_message_is_its_correlation_id():
    assert to_metadata(MESSAGE, SERVICE_BUS, NOW)["SessionId"] == "c-1"
    assert not any("SessionId" in name for name in to_metadata(MESSAGE, REDIS, NOW))


@given(st.text())
def test_whatever_a_property_holds_it_can_be_delivered(text):
    for value in to_metadata(Message("topic", b"", text, text, text, properties={"p": text}), REDIS, NOW).values():
        assert value.isascii()
        assert value.isprintable()
        assert len(value) <= 128


def test_two_ids_that_cannot_be_headers_stay_two():
    first, second = (to_metadata(Message("topic", b"", message_id=text), SERVICE_BUS, NOW)["MessageId"] for text in ("a\nb", "a\rb"))
    assert first != second


def test_no_property_passes_for_a_header_of_the_request():
    headers = to_metadata(Message("topic", b"", properties={"dapr-api-token": "forged", "a\nb": "x"}), REDIS, NOW)
    assert "dapr-api-token" not in headers
    assert not [name for name in headers if "\n" in name]


def test_only_a_broker_says_of_a_message_that_it_was_given_up():
    headers = {"metadata.deadletterreason": "why", "metadata.x-opt-deadletter-source": "elsewhere", "metadata.region": "west"}
    assert to_delivery("topic/bridge", b"", headers.items()).message.properties == {"region": "west"}
    given_up = to_delivery("automation-deadletters", b"", headers.items(), dead_letters=True)
    assert given_up.message.properties == {"DeadLetterReason": "why", "region": "west"}


def test_service_bus_is_told_when_to_deliver_and_others_are_not():
    later = Message("topic", b"", deliver_at=NOW + timedelta(seconds=1.5))
    assert to_metadata(later, SERVICE_BUS, NOW)["ScheduledEnqueueTimeUtc"] == "2026-01-31T12:00:01.500000Z"
    assert "ScheduledEnqueueTimeUtc" not in to_metadata(later, REDIS, NOW)
    assert "ScheduledEnqueueTimeUtc" not in to_metadata(later, SERVICE_BUS, NOW + timedelta(seconds=2))


@pytest.mark.parametrize(("span", "seconds"), [(timedelta(seconds=90), "90"), (timedelta(seconds=1.2), "2"), (timedelta(0), "1")])
def test_a_time_to_live_is_told_in_whole_seconds(span, seconds):
    assert to_metadata(Message("topic", b"", time_to_live=span), REDIS, NOW)["ttlInSeconds"] == seconds


def test_a_delivery_tells_how_often_and_since_when():
    headers = {"Metadata.DeliveryCount": "3", "metadata.enqueuedtimeutc": "Sat, 31 Jan 2026 12:00:00 GMT"}
    delivery = to_delivery("topic/bridge", b"", headers.items())
    assert (delivery.attempt, delivery.enqueued_at) == (3, NOW)


@pytest.mark.parametrize("headers", [{}, {"metadata.deliverycount": "x", "metadata.enqueuedtimeutc": "yesterday"}])
def test_a_bus_that_does_not_tell_is_no_trouble(headers):
    delivery = to_delivery("queue", b"", headers.items())
    assert (delivery.attempt, delivery.enqueued_at, delivery.message.topic) == (1, None, "queue")
