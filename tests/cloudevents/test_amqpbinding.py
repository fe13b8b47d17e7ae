from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings import amqp as sdk
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from bridge import cloudevents
from bridge.cloudevents import amqpbinding
from bridge.errors import Malformed
from bridge.ports import Message

ATTRIBUTES = {"specversion": "1.0", "id": "a-1", "source": "/tests", "type": "automation.requested", "subject": "table.summarize"}
STRUCTURED = json.dumps({**ATTRIBUTES, "data": {"n": 2**60}}).encode()


def binary(prefix: str = "cloudEvents:", **more: str) -> dict[str, str]:
    return {f"{prefix}{name}": value for name, value in (ATTRIBUTES | more).items()}


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
def test_binary_mode_has_its_attributes_as_application_properties(prefix):
    event = amqpbinding.decode("application/json", {**binary(prefix), "other": "x"}, b'{"n": 1152921504606846976}')
    assert event == cloudevents.Event({**ATTRIBUTES, "datacontenttype": "application/json"}, {"n": 2**60})


@pytest.mark.parametrize("content_type", ["application/cloudevents+json", "application/cloudevents+json; charset=utf-8", "text/plain", ""])
def test_structured_mode_has_the_event_in_the_body(content_type):
    assert amqpbinding.decode(content_type, {}, STRUCTURED).data == {"n": 2**60}


def test_structured_mode_wins_over_properties():
    assert amqpbinding.decode("application/cloudevents+json", binary(id="other"), STRUCTURED).id == "a-1"


@pytest.mark.parametrize("name", ["time", "expirytime"])
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("1767182400500", "2025-12-31T12:00:00.500000+00:00"),
        ("0", "1970-01-01T00:00:00+00:00"),
        ("2025-12-31T12:00:00Z", "2025-12-31T12:00:00Z"),
    ],
)
def test_a_time_may_come_in_milliseconds(name, sent, read):
    assert amqpbinding.decode("application/json", binary(**{name: sent}), b"1").attributes[name] == read


def test_the_sdk_of_cloudevents_is_read_in_both_modes():
    event = CloudEvent({**ATTRIBUTES, "correlationid": "order-1"}, {"n": 2**60})
    for written in (sdk.to_binary(event, JSONFormat()), sdk.to_structured(event, JSONFormat())):
        properties = {name: str(value) for name, value in written.application_properties.items()}
        read = amqpbinding.decode(
            str(written.properties["content-type"]) if written.properties else "", properties, written.application_data
        )
        assert (read.id, read.data, read.get("correlationid")) == ("a-1", {"n": 2**60}, "order-1")
        assert abs(datetime.fromisoformat(read.attributes["time"]) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("time", ["999999999999999999999", "-1", "1.5"])
def test_a_number_that_is_no_time_is_refused(time):
    with pytest.raises(Malformed, match="time must be RFC 3339"):
        amqpbinding.decode("application/json", binary(time=time), b"1")


def test_a_binary_event_needs_no_data():
    assert amqpbinding.decode("", binary(), b"").data is None


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_the_text_of_an_attribute_comes_as_it_was_sent(text):
    assert amqpbinding.decode("application/json", binary(subject="%41" + text), b"1").subject == "%41" + text


@pytest.mark.parametrize(
    ("content_type", "properties", "body"),
    [
        ("application/json", binary(specversion="2.0"), b"{}"),
        ("application/json", {"cloudEvents:specversion": "1.0"}, b"{}"),
        ("application/json", binary(), b"{"),
        ("application/json", binary(), b'1,"authid":"admin"'),
        ("application/json", binary(), b"1}"),
        ("application/json", binary(), b"\xef\xbb\xbf1"),
        ("application/json", binary(data="x"), b"1"),
        ("application/json", binary(data_base64="MQ=="), b"1"),
        ("application/json", binary(**{"Not a name": "x"}), b"1"),
        ("application/json", binary(subject="a\x00b"), b"1"),
        ("text/plain", binary(), b"hello"),
        ("application/json", {}, b"{}"),
    ],
)
def test_what_is_no_event_is_malformed(content_type, properties, body):
    with pytest.raises(Malformed):
        amqpbinding.decode(content_type, properties, body)


def test_a_message_of_the_bus_is_read_in_either_mode():
    assert Message("t", STRUCTURED).read_event().id == "a-1"
    assert Message("t", b"{}", content_type="application/json", properties=binary()).read_event().subject == "table.summarize"
