"""What the dead letter of a message says that Dapr has wrapped, and the metadata that mends it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bridge import events
from bridge.cloudevents import wrapped
from bridge.errors import Malformed
from bridge.ports import Message
from tests.pipeline_kit import World, world

REFUSED = Malformed("No.", hint="Look.")
#: As daprd 1.18.1 makes it of `publish_event(..., data='{"csv": "a,b"}', data_content_type="application/json")`.
WRAPPED = {
    "specversion": "1.0",
    "id": "0f8c5d0e-64f5-4a3b-8f9b-0d3f6d2a9b11",
    "source": "orders",
    "type": "com.dapr.event.sent",
    "datacontenttype": "application/json",
    "topic": "automation-requests",
    "pubsubname": "orders-bus",
    "traceid": "",
    "traceparent": "",
    "tracestate": "",
    "data": {"csv": "a,b"},
}
EVENT = {"specversion": "1.0", "id": "order-1", "source": "/orders", "type": "automation.requested", "subject": "table.summarize"}


def told(event: Any, *, requests: bool = True) -> Malformed:
    refusal = wrapped.explained(REFUSED, json.dumps(event).encode(), requests=requests)
    assert isinstance(refusal, Malformed)
    return refusal


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in WRAPPED.items() if name not in names}


def test_it_says_what_dapr_did():
    detail = told(WRAPPED).detail
    assert "Dapr wrapped it" in detail
    assert "application/cloudevents+json" in detail
    assert "com.dapr.event.sent" in detail


def test_a_request_may_stay_wrapped_with_the_metadata_that_is_missing():
    hint = told(WRAPPED).hint
    assert "content type application/cloudevents+json; or let Dapr wrap it with the metadata cloudevent.type=automation.requested" in hint
    assert "cloudevent.subject=<name of the automation>, cloudevent.id=" in hint
    assert "content type application/json" not in hint


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/xml"])
def test_the_content_type_is_named_where_it_is_what_is_wrong(content_type):
    hint = told({**WRAPPED, "datacontenttype": content_type, "type": "automation.requested", "subject": "table.summarize"}).hint
    assert "wrap it with the content type application/json, cloudevent.id=" in hint


@pytest.mark.parametrize(
    "data",
    [
        {"data": EVENT},
        {"data": json.dumps(EVENT), "datacontenttype": "text/plain"},
        {"data_base64": base64.b64encode(json.dumps(EVENT).encode()).decode(), "datacontenttype": "application/octet-stream"},
    ],
    ids=["object", "text", "bytes"],
)
def test_of_a_cloudevent_that_was_wrapped_it_is_said_that_it_is_one(data):
    assert told({**without("data"), **data}).hint.startswith("Its data is a CloudEvent already: publish that with the content type")


def test_a_result_must_be_published_whole():
    hint = told({**WRAPPED, "topic": "automation-results", "data": {"status": "succeeded"}}, requests=False).hint
    assert "metadata of Dapr cannot carry correlationid, causationid and invocationtoken" in hint


@pytest.mark.parametrize(
    "event",
    [
        {"csv": "a,b", **without("data", "id", "datacontenttype")},
        {**without("datacontenttype"), "source": "Dapr"},
        {**WRAPPED, "correlationid": "order-1"},
    ],
    ids=["input", "no type", "no type, with an extension"],
)
def test_what_was_published_as_a_cloudevent_and_is_none_is_said_too(event):
    # Dapr adds all that is missing but the id.
    refusal = told(event)
    assert "as a CloudEvent and is none" in refusal.detail
    assert "Send id, source, type, subject and data" in refusal.hint


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"[]",
        b'"text"',
        json.dumps(EVENT).encode(),
        json.dumps({**EVENT, "topic": "automation-requests", "pubsubname": "bus", "datacontenttype": "application/json"}).encode(),
        json.dumps({**EVENT, "topic": "automation-requests", "pubsubname": "bus"}).encode(),
    ],
    ids=["bytes", "list", "text", "event", "event through dapr", "event through dapr without content type"],
)
def test_of_anything_else_the_refusal_stays_as_it_is(body):
    assert wrapped.explained(REFUSED, body, requests=True) is REFUSED


@pytest.mark.parametrize("data", ["{oops", "a", 7, None, [1]])
@pytest.mark.parametrize("name", ["data", "data_base64"])
def test_data_of_any_kind_is_explained(data, name):
    assert "Dapr wrapped it" in told({**without("data"), name: data}).detail


async def _letters(made: World) -> list[dict[str, Any]]:
    await made.bus.deliver()
    found, _ = await made.bridge.services.deadletters.kept.page(10, "")
    return [each.view() for each in found]


@pytest.mark.parametrize("topic", [events.REQUESTS, events.RESULTS])
async def test_the_dead_letter_keeps_the_explanation_and_the_hint(tmp_path, topic):
    made = await world(tmp_path)
    await made.bus.publish([made_of({**WRAPPED, "topic": topic}, topic)])
    (letter,) = await _letters(made)
    assert letter["reason"] == "Malformed"
    assert "Dapr wrapped it" in letter["detail"]
    assert "application/cloudevents+json" in letter["hint"]
    assert letter["event"]["data"] == {"csv": "a,b"}


async def test_a_run_whose_request_dapr_wrapped_as_text_says_what_mends_it(tmp_path):
    made = await world(tmp_path)
    text = {"type": "automation.requested", "subject": "one", "id": "order-1", "datacontenttype": "text/plain", "data": '{"csv": "a,b"}'}
    await made.bus.publish([made_of({**WRAPPED, **text}, events.REQUESTS)])
    await made.bus.deliver()
    run = await made.run("order-1")
    assert (run.status, run.error.code) == ("Failed", "Malformed")
    assert "Dapr wrapped it" in run.error.message
    assert "the content type application/json" in run.error.hint


async def test_a_run_whose_event_names_no_automation_says_where_the_name_belongs(tmp_path):
    made = await world(tmp_path)
    await made.bus.publish([made_of({**WRAPPED, "type": "automation.requested", "id": "order-1"}, events.REQUESTS)])
    await made.bus.deliver()
    assert "cloudevent.subject" in (await made.run("order-1")).error.hint


async def test_any_dead_letter_keeps_its_hint(tmp_path):
    made = await world(tmp_path)
    await made.bus.publish([made_of({**EVENT, "type": "orders.created"}, events.REQUESTS)])
    (letter,) = await _letters(made)
    assert letter["hint"] == "Send automation.requested."


def made_of(event: dict[str, Any], topic: str) -> Message:
    return Message(topic, json.dumps(event).encode(), str(event["id"]))
