from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from bridge import envelope
from bridge.envelope import BATCH, STRUCTURED, Event
from bridge.errors import Malformed, TooLarge, UnsupportedMediaType
from tests.core_kit import event, json_values, moderate

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/test", "type": "test"}
BINARY = {f"ce-{name}": value for name, value in REQUIRED.items()} | {"content-type": "application/json"}

printable = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20)
extensions = st.dictionaries(st.from_regex(r"x[a-z0-9]{0,10}", fullmatch=True), printable, max_size=3)


def structured(**members: Any) -> bytes:
    return json.dumps({**REQUIRED, **members}).encode()


def refused(call: Any, *arguments: Any) -> Malformed:
    with pytest.raises(Malformed) as caught:
        call(*arguments)
    return caught.value


def pointers(fault: Malformed) -> list[tuple[str, str]]:
    return [(each["pointer"], each["rule"]) for each in fault.errors]


# The official SDK is the judge.


@moderate
@given(printable, printable, extensions, json_values)
def test_the_sdk_reads_what_is_written_here(identity, source, more, data):
    written = event(data, id=identity, source=source, time="2026-01-31T12:00:00Z", datacontenttype="application/json", **more)
    seen = JSONFormat().read(None, written.encode())
    assert (seen.get_id(), seen.get_source(), seen.get_type()) == (identity, source, "automation.requested")
    assert {name: seen.get_extension(name) for name in more} == more
    assert seen.get_data() == data
    assert seen.get_time() == datetime(2026, 1, 31, 12, tzinfo=UTC)


@moderate
@given(printable, extensions, json_values)
def test_what_the_sdk_writes_is_read_here(identity, more, data):
    told = CloudEvent({**REQUIRED, "id": identity, "time": datetime(2026, 1, 31, tzinfo=UTC), **more}, data)
    message = sdk_http.to_structured(told, JSONFormat())
    seen = envelope.decode_http({"content-type": message.headers["content-type"]}, message.body)
    assert (seen.id, seen.get("time"), seen.data) == (identity, "2026-01-31T00:00:00Z", data)
    assert {name: seen.get(name) for name in more} == more


@moderate
@given(printable, st.dictionaries(st.text(max_size=5), json_values, max_size=3))
def test_what_the_sdk_writes_in_binary_mode_is_read_here(source, data):
    told = CloudEvent({**REQUIRED, "source": source, "datacontenttype": "application/json"}, data)
    message = sdk_http.to_binary(told, JSONFormat())
    seen = envelope.decode_http({name.lower(): value for name, value in message.headers.items()}, message.body)
    assert (seen.get("source"), seen.get("datacontenttype"), seen.data) == (source, "application/json", data)


def test_data_that_the_sdk_writes_in_base64_is_read():
    body = JSONFormat().write(CloudEvent({**REQUIRED, "datacontenttype": "application/json"}, b'{"a": 1}'))
    assert envelope.decode(body).data == {"a": 1}


# What an event says.


@moderate
@given(json_values, extensions)
def test_an_event_comes_back_as_it_was_written(data, more):
    written = event(data, **more)
    assert envelope.decode(written.encode()) == written


def test_an_event_names_what_it_carries():
    seen = event(subject="report", correlationid="c-1")
    assert (seen.id, seen.type, seen.subject, seen.correlation_id) == ("order-1", "automation.requested", "report", "c-1")
    assert (seen.get("subject"), seen.get("nothing")) == ("report", "")


def test_the_correlation_id_is_the_id_unless_the_event_says_otherwise():
    seen = Event(REQUIRED)
    assert (seen.correlation_id, seen.subject) == ("1", "")


def test_attributes_may_be_written_as_numbers_and_booleans_and_null_means_absent():
    seen = envelope.decode(structured(count=7, big=2**31 - 1, yes=True, no=False, nothing=None))
    assert [seen.get(name) for name in ("count", "big", "yes", "no")] == ["7", "2147483647", "true", "false"]
    assert "nothing" not in seen.attributes


@pytest.mark.parametrize("character", ["\x00", "\n", "\r", "\x1b", "\x7f", "\x85"])
def test_a_control_character_is_refused_by_the_name_of_its_attribute(character):
    fault = refused(envelope.decode, structured(subject=f"report{character}"))
    assert [error["pointer"] for error in fault.errors] == ["/subject"]
    assert character not in fault.detail


@pytest.mark.parametrize(
    "event",
    [
        {"a\nb": {}, **REQUIRED},
        {"\x1b" * 5_000: {}, **REQUIRED},
        {"a\nb": "\n", **REQUIRED},
        {**REQUIRED, "datacontenttype": "text\n" * 5_000},
        {**REQUIRED, "specversion": "\n" * 5_000},
        {**REQUIRED, "time": "\n" * 5_000},
    ],
)
def test_no_name_or_value_of_an_event_fills_or_forges_a_line(event):
    fault = refused(envelope.decode, json.dumps(event).encode())
    assert fault.detail.isprintable()
    assert len(fault.detail) < 1_000
    assert all(len(error["pointer"]) <= 101 and error["detail"].isprintable() for error in fault.errors)


# JSON.


@pytest.mark.parametrize("number", [2**53 + 1, 2**60, -(2**63) - 1, 2**100, 10**400])
def test_integers_come_back_exactly(number):
    seen = envelope.decode(structured(data={"n": number}))
    assert seen.data == {"n": number}
    assert json.loads(seen.encode())["data"] == {"n": number}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b"\xff",
        b'"\xed\xa0\x80"',
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b"1" * 10_000,
    ],
)
def test_what_is_not_json_is_refused_with_the_place(body):
    fault = refused(envelope.parse_json, body)
    assert "line 1 column" in fault.detail
    assert fault.hint.startswith("Send one JSON value")


def test_two_hundred_levels_are_read():
    deep = b"[" * 200 + b"]" * 200
    assert json.dumps(envelope.parse_json(deep)).encode() == deep


@pytest.mark.parametrize(
    "number",
    [
        b"1e400",
        b"-1e400",
        b"[1E+0309]",
        b"9" * 400 + b".0",
        b"1" * 250 + b"e99",
        b"9" * 308 + b".0e5",
        b'["Infinity", 1e400]',
    ],
)
def test_a_number_beyond_doubles_is_refused(number):
    refused(envelope.parse_json, number)


def test_what_only_looks_like_such_a_number_is_read():
    assert envelope.parse_json(b'["' + b"1" * 400 + b'", "1e400", "-Infinity", 1e300]') == ["1" * 400, "1e400", "-Infinity", 1e300]


# What is no event.


def test_every_problem_is_named_at_once_with_its_pointer():
    fault = refused(
        envelope.read, {"specversion": "0.3", "source": "", "time": "noon", "Bad~/Name": "x", "list": [1], "half": 0.5, "data": 1}
    )
    assert sorted(pointers(fault)) == [
        ("/Bad~0~1Name", "name"),
        ("/half", "type"),
        ("/id", "required"),
        ("/list", "type"),
        ("/source", "required"),
        ("/specversion", "enum"),
        ("/time", "timestamp"),
        ("/type", "required"),
    ]
    assert "specversion must be 1.0, not '0.3'" in fault.detail


@pytest.mark.parametrize("value", [None, 1, "text", [], [REQUIRED]])
def test_only_an_object_is_an_event(value):
    assert "JSON object" in refused(envelope.read, value).detail


@pytest.mark.parametrize("name", ["", "Upper", "has-dash", "has_underscore", "a" * 21, "ä"])
def test_a_name_that_no_attribute_may_have_is_refused(name):
    assert pointers(refused(envelope.read, {**REQUIRED, name: "x"})) == [(f"/{name}", "name")]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"data": 1, "data_base64": "MQ=="}, ("/data_base64", "either")),
        ({"data_base64": "not base64"}, ("/data_base64", "base64")),
        ({"data_base64": 7}, ("/data_base64", "base64")),
        ({"data_base64": base64.b64encode(b"no json").decode()}, ("/data_base64", "base64")),
        ({"data": "<a/>", "datacontenttype": "application/xml"}, ("/datacontenttype", "json")),
        ({"datacontenttype": "application/json5"}, ("/datacontenttype", "json")),
    ],
)
def test_data_must_be_json(members, problem):
    assert pointers(refused(envelope.read, {**REQUIRED, **members})) == [problem]


@pytest.mark.parametrize("content_type", ["application/json", "APPLICATION/JSON", "text/json", "application/vnd.team+json; charset=utf-8"])
def test_every_json_type_is_taken(content_type):
    assert envelope.decode(structured(datacontenttype=content_type, data=1)).data == 1


# HTTP.


def test_binary_mode_takes_attributes_from_headers_and_decodes_them():
    seen = envelope.decode_http({**BINARY, "ce-subject": "r%C3%A9sum%C3%A9", "authorization": "x"}, b'{"n": 1152921504606846976}')
    assert (seen.subject, seen.data, seen.get("datacontenttype")) == ("résumé", {"n": 2**60}, "application/json")
    assert "authorization" not in seen.attributes


def test_binary_mode_without_a_body_has_no_data():
    headers = {name: value for name, value in BINARY.items() if name != "content-type"}
    assert envelope.decode_http(headers, b"") == Event(REQUIRED)


def test_problems_of_binary_mode_are_named_too():
    fault = refused(envelope.decode_http, {"ce-specversion": "1.0", "ce-": "x"}, b"")
    assert sorted(pointers(fault)) == [("/", "name"), ("/id", "required"), ("/source", "required"), ("/type", "required")]


def test_a_type_of_data_that_is_no_json_is_refused_in_binary_mode_too():
    headers = {name: value for name, value in BINARY.items() if name != "content-type"}
    fault = refused(envelope.decode_http, {**headers, "ce-datacontenttype": "text/xml"}, b"1")
    assert pointers(fault) == [("/datacontenttype", "json")]


def test_data_is_no_attribute():
    refused(envelope.decode_http, {**BINARY, "ce-data": "x"}, b"1")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "No content type is not a CloudEvent"),
        ({"content-type": "application/json"}, "'application/json' is not a CloudEvent"),
        ({"content-type": BATCH}, "is not a CloudEvent"),
        ({**BINARY, "content-type": "text/plain"}, "is JSON, not 'text/plain'"),
        ({**BINARY, "content-type": "application/cloudevents+avro"}, "is JSON, not"),
    ],
)
def test_another_content_type_is_refused_with_those_that_are_taken(headers, said):
    with pytest.raises(UnsupportedMediaType, match=said) as caught:
        envelope.decode_http(headers, b"{}")
    assert "json" in caught.value.hint


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", STRUCTURED.upper()])
def test_structured_mode_is_known_by_its_content_type(content_type):
    assert envelope.decode_http({"content-type": content_type}, structured()).id == "1"


# Batches.


def test_a_batch_says_of_each_item_what_it_is():
    good, bad, no_object = envelope.decode_batch(json.dumps([{**REQUIRED, "data": 2**60}, {"id": "2"}, 3]).encode())
    assert isinstance(good, Event)
    assert good.data == 2**60
    assert isinstance(bad, Malformed)
    assert "type is missing" in bad.detail
    assert isinstance(no_object, Malformed)


def test_an_empty_batch_has_no_events():
    assert envelope.decode_batch(b"[]") == []


def test_a_batch_is_an_array():
    assert "array" in refused(envelope.decode_batch, structured()).detail


def test_a_batch_has_an_end():
    most = envelope.MAX_BATCH
    assert len(envelope.decode_batch(b"[" + b"0," * (most - 1) + b"0]")) == most
    with pytest.raises(TooLarge, match=f"{most + 1:,} events; {most:,} are allowed"):
        envelope.decode_batch(b"[" + b"0," * most + b"0]")


# Timestamps.


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T14:00:00.5+02:00", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_read(text, moment):
    assert envelope.timestamp(text) == moment


@pytest.mark.parametrize(
    "text", ["", "T", "noon", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "1769860800", "2026-01-31 12:00:00Z", "T" * 1000]
)
def test_what_is_no_timestamp_or_has_no_offset_is_none(text):
    assert envelope.timestamp(text) is None


# Nothing else is ever raised.

odd_members = st.dictionaries(
    st.sampled_from([*REQUIRED, "data", "data_base64", "time", "datacontenttype", "x"]) | st.text(max_size=5), json_values
)
headers = st.dictionaries(
    st.sampled_from(["content-type", "ce-specversion", "ce-id", "ce-time"]) | st.text(max_size=8),
    st.sampled_from([STRUCTURED, BATCH, "application/json", "1.0", "%ff"]) | st.text(max_size=8),
)


@moderate
@given(headers, st.binary(max_size=30) | odd_members.map(lambda members: json.dumps(members).encode()))
def test_whatever_comes_is_an_event_or_refused(given_headers, body):
    for call in (envelope.decode, envelope.decode_batch, lambda raw: envelope.decode_http(given_headers, raw)):
        try:
            seen = call(body)
        except (Malformed, UnsupportedMediaType) as fault:
            assert fault.hint  # noqa: PT017 - most examples raise, some do not
        else:
            assert isinstance(seen, Event | list)


@moderate
@given(odd_members)
def test_what_is_read_can_be_written_and_read_again(members):
    try:
        seen = envelope.read({**members, **REQUIRED})
    except Malformed:
        return
    again = envelope.decode(seen.encode())
    assert (again.attributes, again.data) == (seen.attributes, seen.data)
