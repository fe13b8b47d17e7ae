from __future__ import annotations

import pytest
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloudevents import BATCH, STRUCTURED, Event, httpbinding
from bridge.errors import UnsupportedMediaType
from tests.cloudevents.cloudevents_kit import BINARY, REQUIRED, pointers, printable, refused, structured
from tests.core_kit import json_values, moderate


@moderate
@given(printable, st.dictionaries(st.text(max_size=5), json_values, max_size=3))
def test_what_the_sdk_writes_in_binary_mode_is_read_here(source, data):
    told = CloudEvent({**REQUIRED, "source": source, "datacontenttype": "application/json"}, data)
    message = sdk_http.to_binary(told, JSONFormat())
    seen = httpbinding.decode_http({name.lower(): value for name, value in message.headers.items()}, message.body)
    assert (seen.get("source"), seen.get("datacontenttype"), seen.data) == (source, "application/json", data)


def test_binary_mode_takes_attributes_from_headers_and_decodes_them():
    seen = httpbinding.decode_http({**BINARY, "ce-subject": "r%C3%A9sum%C3%A9", "authorization": "x"}, b'{"n": 1152921504606846976}')
    assert (seen.subject, seen.data, seen.get("datacontenttype")) == ("résumé", {"n": 2**60}, "application/json")
    assert "authorization" not in seen.attributes


def test_binary_mode_without_a_body_has_no_data():
    headers = {name: value for name, value in BINARY.items() if name != "content-type"}
    assert httpbinding.decode_http(headers, b"") == Event(REQUIRED)


def test_problems_of_binary_mode_are_named_too():
    fault = refused(httpbinding.decode_http, {"ce-specversion": "1.0", "ce-": "x"}, b"")
    assert sorted(pointers(fault)) == [("/", "name"), ("/id", "required"), ("/source", "required"), ("/type", "required")]


def test_a_type_of_data_that_is_no_json_is_refused_in_binary_mode_too():
    headers = {name: value for name, value in BINARY.items() if name != "content-type"}
    fault = refused(httpbinding.decode_http, {**headers, "ce-datacontenttype": "text/xml"}, b"1")
    assert pointers(fault) == [("/datacontenttype", "json")]


def test_data_is_no_attribute():
    refused(httpbinding.decode_http, {**BINARY, "ce-data": "x"}, b"1")


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
        httpbinding.decode_http(headers, b"{}")
    assert "json" in caught.value.hint


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", STRUCTURED.upper()])
def test_structured_mode_is_known_by_its_content_type(content_type):
    assert httpbinding.decode_http({"content-type": content_type}, structured()).id == "1"


# Values of headers (HTTP binding 1.0.2, section 3.1.3.2).


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("simple", "simple"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("lower%20case%e2%82%ac", "lower case€"),
        ("%73%69%6d%70%6c%65", "simple"),
        ("100%25", "100%"),
        ("%2525", "%25"),
        ("a+b", "a+b"),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ('"quoted text"', "quoted text"),
        ('"say \\"hi\\" \\\\o/"', 'say "hi" \\o/'),
        ('"quoted%20too"', "quoted too"),
        ('"%22"', '"'),
        ("%22not quoted%22", '"not quoted"'),
        ('a "word" inside', 'a "word" inside'),
        ('"never closed', '"never closed'),
        ('5"', '5"'),
        ("na\u00c3\u00afve", "naïve"),
    ],
)
def test_a_header_is_freed_of_its_quotes_and_then_decoded_once(header: str, value: str) -> None:
    assert httpbinding.decode_http({**BINARY, "ce-subject": header}, b"1").subject == value


@pytest.mark.parametrize("header", ["%C0%A0", "%ff", "%E2%82", "%ED%A0%80", "caf\u00e9", "%e9", '"%C0%A0"'])
def test_bytes_that_are_no_utf_8_are_refused_by_the_name_of_their_header(header: str) -> None:
    fault = refused(httpbinding.decode_http, {**BINARY, "ce-subject": header}, b"1")
    assert pointers(fault) == [("/subject", "encoding")]
    assert "'ce-subject' is not UTF-8" in fault.detail


@pytest.mark.parametrize("header", ["%00", "a%0Ab", '"%7f"', "%C2%85", "%EF%BF%BF"])
def test_what_no_attribute_may_hold_is_refused_encoded_as_well(header: str) -> None:
    assert pointers(refused(httpbinding.decode_http, {**BINARY, "ce-subject": header}, b"1")) == [("/subject", "characters")]


@moderate
@given(printable)
def test_any_text_comes_through_a_header_that_the_sdk_wrote(text: str) -> None:
    told = CloudEvent({**REQUIRED, "subject": text, "datacontenttype": "application/json"}, {})
    message = sdk_http.to_binary(told, JSONFormat())
    headers = {name.lower(): value for name, value in message.headers.items()}
    assert httpbinding.decode_http(headers, message.body).subject == text


def test_an_event_without_its_specversion_is_told_so() -> None:
    headers = {name: value for name, value in BINARY.items() if name != "ce-specversion"}
    assert pointers(refused(httpbinding.decode_http, headers, b"1")) == [("/specversion", "required")]


def test_the_type_of_the_data_may_not_be_told_in_two_ways() -> None:
    fault = refused(httpbinding.decode_http, {**BINARY, "ce-datacontenttype": "application/x+json"}, b"1")
    assert pointers(fault) == [("/datacontenttype", "header")]


@pytest.mark.parametrize("content_type", [f"{STRUCTURED}; charset=utf-16", "application/json; charset=latin1"])
def test_another_charset_is_refused_in_both_modes(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="charset"):
        httpbinding.decode_http({**BINARY, "content-type": content_type}, structured())


def test_a_name_that_stands_twice_in_the_data_is_refused_with_its_place() -> None:
    assert pointers(refused(httpbinding.decode_http, BINARY, b'{"a": [{"b": 1, "b": 2}]}')) == [("/a/0/b", "unique")]
