"""The request to an HTTP target, made from the input as the catalogue says."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.catalog.mapping import MAX_URL, HttpRequestMapping, request, violation


def mapping(**fields: Any) -> HttpRequestMapping:
    return HttpRequestMapping.model_validate({"path": "/api/items", **fields})


ITEM: dict[str, Any] = {"path": "/api/items/{id}", "parameters": {"id": "/id"}}


def test_without_a_mapping_the_whole_input_is_the_body_and_nothing_is_read_from_it():
    plain = mapping()
    assert plain.passes_input_on
    assert request(plain, {"a": 1}) == request(mapping(body="input"), {"a": 1})
    assert request(plain, {"a": 1}).body == b'{"a":1}'


def test_a_get_has_no_body():
    made = request(mapping(method="GET", query={"name": "/name"}), {"name": "Ada", "other": 1})
    assert (made.path, made.body, dict(made.headers)) == ("/api/items?name=Ada", b"", {})


def test_fields_of_the_input_fill_the_path_the_query_and_the_headers():
    fields = {"query": {"q": "/search/text", "v": {"const": 2}}, "headers": {"X-Team": "/team"}, "body": "/payload"}
    made = request(mapping(**ITEM, **fields), {"id": 7, "search": {"text": "a b&c"}, "team": "blue", "payload": [1]})
    assert made.path == "/api/items/7?q=a%20b%26c&v=2"
    assert dict(made.headers) == {"X-Team": "blue", "content-type": "application/json"}
    assert made.body == b"[1]"


def test_an_absent_field_is_left_out_and_an_array_repeats():
    wanted = mapping(query={"tag": "/tags", "none": "/none", "null": "/null"}, headers={"X-None": "/none", "X-Tags": "/tags"}, body="none")
    made = request(wanted, {"tags": ["a", 1, True], "null": None})
    assert (made.path, dict(made.headers)) == ("/api/items?tag=a&tag=1&tag=true", {"X-Tags": "a, 1, true"})


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_text_arrives_in_the_query_as_it_was(one: str, two: str):
    made = request(mapping(method="GET", query={"one": "/one", "two": "/two"}), {"one": one, "two": two})
    read = parse_qsl(urlsplit("http://app" + made.path).query, keep_blank_values=True, strict_parsing=True)
    assert read == [("one", one), ("two", two)]


@pytest.mark.parametrize("value", ["", None, "a/b", "a\\b", ".", "..", "%2e%2e", "a%252fb", {"a": 1}, ["a", "b"]])
def test_a_part_of_the_path_is_one_value_that_stays_within_its_part(value: object):
    found = violation(mapping(**ITEM), {"id": value})
    assert found is not None
    assert (found["pointer"], found["rule"]) == ("/id", "path")


def test_an_absent_part_of_the_path_is_a_violation():
    found = violation(mapping(**ITEM), {})
    assert found is not None
    assert "/id is part of the path, so it needs a value" in found["detail"]


@given(
    st.text(alphabet=st.characters(exclude_characters="/\\", exclude_categories=["Cs"]), min_size=1).filter(
        lambda text: text not in (".", "..")
    )
)
def test_any_other_text_can_be_a_part_of_the_path(text: str):
    path = request(mapping(**ITEM), {"id": text}).path
    assert path.count("/") == 3
    assert path.isascii()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00", "ü", " a", "a ", "x" * 9_000, {"a": 1}])
def test_a_header_carries_only_what_a_header_can(value: object):
    found = violation(mapping(headers={"X-Name": "/name"}), {"name": value})
    assert found is not None
    assert (found["pointer"], found["rule"]) == ("/name", "header")


def test_a_url_has_a_limit():
    found = violation(mapping(method="GET", query={"q": "/q"}), {"q": "x" * MAX_URL})
    assert found is not None
    assert (found["rule"], "8,000 are allowed" in found["detail"]) == ("url", True)


def test_a_form_is_made_of_the_fields_of_an_object():
    wanted = mapping(contentType="application/x-www-form-urlencoded")
    made = request(wanted, {"name": "Ada L", "tags": [1, 2], "none": None})
    assert made.body == b"name=Ada+L&tags=1&tags=2"
    assert made.headers["content-type"] == "application/x-www-form-urlencoded"
    assert violation(wanted, ["a"]) is not None
    assert violation(wanted, {"a": {"b": 1}}) is not None


def test_text_is_sent_as_it_is():
    wanted = mapping(contentType="text/plain; charset=utf-8", body="/text")
    assert request(wanted, {"text": "grüße"}).body == "grüße".encode()
    assert request(wanted, {"text": 5}).body == b"5"
    assert violation(wanted, {"text": {"a": 1}}) is not None


def test_numbers_beyond_53_bits_arrive_exactly():
    assert request(mapping(**ITEM), {"id": 2**60}).path == f"/api/items/{2**60}"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"path": "/api/{id}"}, "the path names id; say under parameters"),
        ({"parameters": {"id": "/id"}}, "parameters has id, which the path does not name"),
        ({"path": "/api/{1}"}, "between { and }"),
        ({"path": "/api/{id"}, "between { and }"),
        ({"path": "//host/x"}, "the path of one function"),
        ({"method": "GET", "body": "input"}, "a GET has no body"),
        ({"method": "GET", "contentType": "text/plain"}, "contentType is that of a body"),
        ({"contentType": "image/png"}, "must be JSON, a form"),
        ({"headers": {"Host": "/h"}}, "Host is set by the bridge"),
        ({"headers": {"x-functions-key": "/h"}}, "x-functions-key is set by the bridge"),
        ({"headers": {"a b": "/h"}}, "is not the name of a header"),
        ({"query": {"q": "name"}}, "pattern"),
        ({"query": {"q": {"const": [1]}}}, "valid"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(fields: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words.replace("{", r"\{").replace("}", r"\}")):
        mapping(**fields)
