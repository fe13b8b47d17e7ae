"""Every refusal of the sidecar that Dapr documents has a meaning here."""

from __future__ import annotations

import json

import pytest

from bridge.adapters.dapr.errors import MAY_PASS, REFUSED_FOR_GOOD, SidecarError, publish_error, state_error
from bridge.errors import Conflict, Unavailable, Undeliverable

#: Dapr 1.18's codes of the APIs that the adapter asks (pkg/messages/errorcodes), each with the status it comes with.
DOCUMENTED = {
    "ERR_PUBSUB_EMPTY": 404,
    "ERR_PUBSUB_NOT_FOUND": 404,
    "ERR_PUBSUB_NOT_CONFIGURED": 400,
    "ERR_TOPIC_NAME_EMPTY": 404,
    "ERR_PUBSUB_FORBIDDEN": 403,
    "ERR_PUBSUB_PUBLISH_MESSAGE": 500,
    "ERR_PUBSUB_REQUEST_METADATA": 400,
    "ERR_PUBSUB_CLOUD_EVENTS_SER": 500,
    "ERR_PUBSUB_EVENTS_SER": 400,
    "ERR_PUBLISH_OUTBOX": 500,
    "ERR_STATE_SAVE": 500,
    "ERR_STATE_GET": 500,
    "ERR_STATE_BULK_GET": 500,
    "ERR_STATE_STORE_NOT_FOUND": 400,
    "ERR_STATE_STORE_NOT_CONFIGURED": 500,
    "ERR_PERMISSION_DENIED": 403,
    "ERR_HEALTH_NOT_READY": 500,
    "ERR_HEALTH_APPID_NOT_MATCH": 500,
    "ERR_OUTBOUND_HEALTH_NOT_READY": 500,
    "ERR_API_UNIMPLEMENTED": 501,
    "ERR_APP_CHANNEL_NIL": 500,
    "ERR_BAD_REQUEST": 400,
    "ERR_BODY_READ": 400,
    "ERR_INTERNAL": 500,
    "ERR_MALFORMED_REQUEST": 400,
    "ERR_MALFORMED_REQUEST_DATA": 400,
    "ERR_MALFORMED_RESPONSE": 500,
    "ERROR": 500,
}


def test_each_documented_code_has_one_meaning():
    assert set(DOCUMENTED) == REFUSED_FOR_GOOD | MAY_PASS
    assert not REFUSED_FOR_GOOD & MAY_PASS


@pytest.mark.parametrize(("code", "status"), DOCUMENTED.items())
def test_a_refused_publish_is_undeliverable_or_may_be_tried_again(code, status):
    fault = publish_error(SidecarError.read(status, json.dumps({"errorCode": code, "message": "why"}).encode()))
    assert type(fault) is (Undeliverable if code in REFUSED_FOR_GOOD else Unavailable)
    assert code in fault.detail
    assert "why" in fault.detail


@pytest.mark.parametrize(("code", "status"), DOCUMENTED.items())
def test_a_refused_write_may_have_been_stored(code, status):
    assert type(state_error(SidecarError(status, code, "why"))) is Unavailable


def test_another_version_in_the_store_is_a_conflict():
    assert type(state_error(SidecarError(409, "ERR_STATE_SAVE", "possible etag mismatch"))) is Conflict


def test_a_code_that_nobody_knows_may_pass():
    assert type(publish_error(SidecarError(500, "ERR_NEW", ""))) is Unavailable
    assert type(state_error(SidecarError(500, "ERR_NEW", ""))) is Unavailable


@pytest.mark.parametrize("status", [413, 414, 431])
def test_what_is_too_large_for_the_sidecar_is_undeliverable(status):
    assert type(publish_error(SidecarError.read(status, b"too large"))) is Undeliverable


@pytest.mark.parametrize("words", ["the message is too large", "*Error{Condition: amqp:link:message-size-exceeded}"])
def test_what_is_too_large_for_service_bus_is_undeliverable(words):
    told = {"errorCode": "ERR_PUBSUB_PUBLISH_MESSAGE", "message": f"error when publishing: {words}"}
    assert type(publish_error(SidecarError.read(500, json.dumps(told).encode()))) is Undeliverable


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b'{"failedEntries":null}', b'{"failedEntries":[1]}'])
def test_any_answer_can_be_read(body):
    assert SidecarError.read(500, body).entries == ()


def test_a_bulk_publish_names_what_failed():
    body = {"failedEntries": [{"entryId": "3", "error": "no room"}], "errorCode": "ERR_PUBSUB_PUBLISH_MESSAGE"}
    refused = SidecarError.read(500, json.dumps(body).encode())
    assert (refused.entries, refused.message) == (("3",), "no room")
