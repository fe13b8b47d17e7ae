from __future__ import annotations

import json
from typing import Any

import pytest
from bridge_result import NotAnInvocation, failed, read_invoked, succeeded
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider

INVOKED = {
    "specversion": "1.0",
    "id": "order-1/summarize",
    "source": "/automation-bridge",
    "type": "automation.invoked",
    "subject": "table.summarize",
    "time": "2026-03-01T12:00:00.123456Z",
    "correlationid": "order-1",
    "causationid": "e-1",
    "invocationtoken": "secret",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "datacontenttype": "application/json",
    "data": {"csv": "a\n1\n"},
}


def body(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**INVOKED, **changes}.items() if value is not None}).encode()


def test_a_result_belongs_to_its_invocation() -> None:
    result = json.loads(succeeded(read_invoked(body()), {"rows": 1}))
    assert {name: result[name] for name in ("specversion", "type", "subject", "correlationid", "causationid", "invocationtoken")} == {
        "specversion": "1.0",
        "type": "automation.result",
        "subject": "table.summarize",
        "correlationid": "order-1",
        "causationid": "order-1/summarize",
        "invocationtoken": "secret",
    }
    assert (result["traceparent"], result["datacontenttype"]) == (INVOKED["traceparent"], "application/json")
    assert result["data"] == {"status": "succeeded", "output": {"rows": 1}}


@pytest.mark.parametrize("same", [True, False])
def test_a_result_is_below_the_span_that_the_function_works_in_if_that_is_of_the_trace(same: bool) -> None:
    invoked = read_invoked(body())
    parent = extract({"traceparent": INVOKED["traceparent"]}) if same else None
    with TracerProvider(shutdown_on_exit=False).get_tracer("function").start_as_current_span("work", parent) as span:
        result = json.loads(succeeded(invoked, 1))
    own = f"{INVOKED['traceparent'][:35]}-{span.get_span_context().span_id:016x}-01"
    assert result["traceparent"] == (own if same else INVOKED["traceparent"])


def test_each_result_has_an_id_of_its_own() -> None:
    invoked = read_invoked(body())
    assert json.loads(succeeded(invoked, 1))["id"] != json.loads(succeeded(invoked, 1))["id"]


def test_a_failure_says_why_and_whether_to_try_again() -> None:
    result = json.loads(failed(read_invoked(body()), "Busy", "Ask later.", retriable=True))
    assert result["data"] == {"status": "failed", "error": {"code": "Busy", "message": "Ask later.", "retriable": True}}


def test_large_whole_numbers_come_through_exactly() -> None:
    assert json.loads(succeeded(read_invoked(body()), {"max": 2**60 + 1}))["data"]["output"]["max"] == 2**60 + 1


@pytest.mark.parametrize("name", ["correlationid", "invocationtoken", "subject"])
def test_an_event_that_cannot_be_answered_is_refused_by_what_it_lacks(name: str) -> None:
    with pytest.raises(NotAnInvocation, match=f"has no {name}"):
        read_invoked(body(**{name: None}))


def test_an_event_of_another_type_is_refused() -> None:
    with pytest.raises(NotAnInvocation, match=r"a 'automation\.requested' event"):
        read_invoked(body(type="automation.requested"))


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_else_is_in_a_message_is_refused(content: Any) -> None:
    message = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(NotAnInvocation):
        read_invoked(message)
