from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.local.functions import messagevalues
from bridge.local.functions.bindings import DataType, ServiceBusTrigger
from bridge.local.functions.feed import BodyForm, Received
from bridge.local.functions.invocations import InvocationRequest

PROPERTIES = {"messageId": "m", "label": "broker's", "deliveryCount": 2, "enqueuedTime": "2026-11-28T10:00:00Z"}


def one(body: bytes, data_type: DataType = DataType.UNDEFINED, form: BodyForm = BodyForm.DATA, *, typed: bool = True) -> InvocationRequest:
    received = Received("lock", body, PROPERTIES, form=form)
    return messagevalues.of_message(ServiceBusTrigger("message", "q", "", data_type), received, typed=typed)


def many(*bodies: bytes, data_type: DataType = DataType.UNDEFINED, typed: bool = True) -> InvocationRequest:
    batch = [Received("lock", body, PROPERTIES) for body in bodies]
    return messagevalues.of_batch(ServiceBusTrigger("message", "q", "", data_type, many=True), batch, typed=typed)


def test_a_message_has_the_broker_s_properties_unless_its_body_has_them() -> None:
    made = one(b'{"subject": "body\'s", "correlationid": "c", "none": null}')

    assert made.value == {"string": '{"subject": "body\'s", "correlationid": "c", "none": null}'}
    assert (made.metadata["Subject"], made.metadata["Label"]) == ({"string": "body's"}, {"string": "broker's"})
    assert made.metadata["CorrelationId"] == {"string": "c"}
    assert made.metadata["DeliveryCount"] == {"int": 2}
    assert made.metadata["EnqueuedTimeUtc"] == {"json": '"2026-11-28T10:00:00"'}
    assert not {"subject", "none", "SessionId", "message"} & made.metadata.keys()


def test_a_python_function_gets_the_same_metadata_as_plain_values() -> None:
    metadata = one(b'{"subject": "body\'s", "data": {"n": 1}}', typed=False).metadata

    assert (metadata["Subject"], metadata["data"], metadata["DeliveryCount"]) == ("body's", {"n": 1}, 2)


def test_a_message_that_is_no_text_is_damaged_unless_it_is_taken_as_bytes() -> None:
    assert one(b"a\xffb").value == {"string": "a\ufffdb"}
    assert one(b"a\xff", DataType.BINARY).value == {"bytes": "Yf8="}


def test_a_body_that_is_taken_as_bytes_gives_nothing_to_the_metadata() -> None:
    assert one(b'{"subject": "body\'s"}', DataType.BINARY).metadata["Subject"] == {"string": "broker's"}


@pytest.mark.parametrize(
    ("data_type", "form"),
    [(DataType.UNDEFINED, BodyForm.OTHER), (DataType.BINARY, BodyForm.TEXT), (DataType.STREAM, BodyForm.DATA)],
)
def test_a_body_that_the_parameter_cannot_take_is_refused_before_the_call(data_type: DataType, form: BodyForm) -> None:
    assert one(b"x", data_type, form).refused
    assert not one(b"x", DataType.STRING, BodyForm.TEXT).refused


def test_the_bodies_of_a_batch_are_parsed_without_a_data_type_and_times_are_written_in_utc() -> None:
    made = many(b'{"at": "2026-11-28T10:00:00+02:00"}', b"[1]", b"", b"{a: 'x'}")

    assert json.loads(made.value["json"]) == [{"at": "2026-11-28T08:00:00+00:00"}, [1], None, {"a": "x"}]


def test_a_batch_with_a_body_that_is_no_json_is_refused_whole() -> None:
    assert "a message of the batch is no JSON" in many(b"{}", b"text").refused


@pytest.mark.parametrize("typed", [True, False])
def test_the_bodies_of_a_batch_may_be_texts_or_bytes(typed: bool) -> None:
    encoded = [b64encode(each).decode() for each in (b"{}", b"text")]

    assert _content(many(b"{}", b"text", data_type=DataType.STRING, typed=typed), "string") == ["{}", "text"]
    assert _content(many(b"{}", b"text", data_type=DataType.BINARY, typed=typed), "bytes") == encoded


def test_the_lists_of_a_batch_keep_their_kind_for_a_worker_that_knows_lists() -> None:
    trigger = ServiceBusTrigger("message", "q", "", DataType.STRING, many=True)
    batch = [Received("lock", b"a", {**PROPERTIES, "sessionId": "s", "sequenceNumber": 7}), Received("key", b"b", {"sequenceNumber": 8})]
    told = messagevalues.of_batch(trigger, batch, typed=True, collections=True).metadata

    assert told["SessionIdArray"] == {"collection_string": ["s", None]}
    assert told["SequenceNumberArray"] == {"collection_sint64": [7, 8]}
    assert told["DeliveryCountArray"] == {"json": "[2,null]"}
    assert told["EnqueuedTimeUtcArray"] == {"json": '["2026-11-28T10:00:00",null]'}
    assert messagevalues.of_batch(trigger, batch, typed=True).metadata["SessionIdArray"] == {"json": '["s",null]'}


@pytest.mark.parametrize("typed", [True, False])
def test_a_message_that_somebody_made_up_has_nothing_that_only_a_broker_gives_it(typed: bool) -> None:
    made = messagevalues.of_input(ServiceBusTrigger("message", "q", ""), '{"subject": "s"}', typed=typed)

    assert made.value == {"string": '{"subject": "s"}'}
    assert {"DeliveryCount", "SequenceNumber", "LockToken", "UserProperties", "Subject", "ExpiresAtUtc"} <= made.metadata.keys()
    assert not {"MessageId", "Client", "MessageActions"} & made.metadata.keys()


def test_a_batch_that_somebody_made_up_has_one_message() -> None:
    made = messagevalues.of_input(ServiceBusTrigger("message", "q", "", DataType.STRING, many=True), "text", typed=False)

    assert (made.value, made.metadata["DeliveryCountArray"]) == ({"collection_string": ["text"]}, [0])


def _content(made: InvocationRequest, kind: str) -> Any:
    return made.value.get(f"collection_{kind}") or json.loads(made.value["json"])
