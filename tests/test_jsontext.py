from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import jsontext
from bridge.errors import Malformed, UnsupportedMediaType
from tests.core_kit import json_values, moderate


def refused(call: Any, *arguments: Any) -> Malformed:
    with pytest.raises(Malformed) as caught:
        call(*arguments)
    return caught.value


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
    fault = refused(jsontext.parse_json, body)
    assert "line 1 column" in fault.detail
    assert fault.hint.startswith("Send one JSON value")


def test_two_hundred_levels_are_read():
    deep = b"[" * 200 + b"]" * 200
    assert json.dumps(jsontext.parse_json(deep)).encode() == deep


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
    refused(jsontext.parse_json, number)


def test_what_only_looks_like_such_a_number_is_read():
    assert jsontext.parse_json(b'["' + b"1" * 400 + b'", "1e400", "-Infinity", 1e300]') == ["1" * 400, "1e400", "-Infinity", 1e300]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"a": 1}'.encode("utf-8-sig"), "byte order mark of UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte order mark of UTF-16"),
        ('{"a": 1}'.encode("utf-32"), "byte order mark of UTF-32"),
        ('{"a": 1}'.encode("utf-16-be"), "looks like UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "looks like UTF-16"),
        ('{"name": "Zoë"}'.encode("latin-1"), "byte 0xeb at offset 12 is not UTF-8"),
    ],
)
def test_another_encoding_is_named(body: bytes, told: str) -> None:
    assert told in refused(jsontext.read_json, body).detail


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=UTF-8", 'application/json;CHARSET="utf-8"', "a/b; x=charset=utf-16"]
)
def test_utf_8_may_be_announced(content_type: str) -> None:
    jsontext.require_utf_8(content_type)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/json; charset=utf-16", "utf-16"),
        ('application/json; q="a;b";Charset = "ISO-8859-1"', "ISO-8859-1"),
        ("application/json;charset=windows-1252;v=1", "windows-1252"),
    ],
)
def test_another_charset_is_refused_by_its_name(content_type: str, charset: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=f"charset '{charset}'") as caught:
        jsontext.require_utf_8(content_type)
    assert "UTF-8" in caught.value.hint


# Names that stand twice.


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b'{"a": 1, "a": 1}', ["/a"]),
        (b'{"a": 1, "\\u0061": 2}', ["/a"]),
        (b'{"a": {"b": {}, "c": 1, "b": []}}', ["/a/b"]),
        (b'[{}, {"a/b~": 1, "a/b~": 2}]', ["/1/a~1b~0"]),
        (b'{"": 0, "": 0}', ["/"]),
        (b'{"a": 1, "a": "two \\u0022", "b": "\\u0022"}', ["/a"]),
        (b'{"a": "\\\\u0022", "a": "\\u0022"}', ["/a"]),
        (b'{"a": 1, "a": 2, "a": 3, "b": 1, "b": 1}', ["/a", "/b"]),
        ('{"ü": 1, "\\u00fc": 2}'.encode(), ["/ü"]),
    ],
)
def test_a_name_that_stands_twice_is_refused_with_its_place(body: bytes, pointers: list[str]) -> None:
    fault = refused(jsontext.read_unique_json, body)
    assert [error["pointer"] for error in fault.errors] == pointers
    assert {error["rule"] for error in fault.errors} == {"unique"}
    assert "more than once" in fault.detail


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a": 1}, {"a": 1}]',
        b'{"a": {"a": {"a": 1}}}',
        b'{"a": "a", "A": "a"}',
        b'{"a": "\\"a\\": 1, \\"a\\": 1"}',
        b'{"a": "\\u0022\\u0022", "b": "\\\\u0022 \\\\\\u0022"}',
        b'"\\\\"',
        b"1e5",
    ],
)
def test_the_same_name_in_several_objects_or_texts_is_no_second_one(body: bytes) -> None:
    assert jsontext.read_unique_json(body)[0] == json.loads(body)


@moderate
@given(json_values, st.booleans())
def test_what_python_writes_is_read_as_it_was(value: Any, ascii_only: bool) -> None:
    written = re.sub(r"\\.", lambda escape: "\\u0022" if escape[0] == '\\"' else escape[0], json.dumps(value, ensure_ascii=ascii_only))
    assert jsontext.read_unique_json(written.encode())[0] == value


def test_no_name_that_stands_twice_fills_or_forges_a_line() -> None:
    fault = refused(jsontext.read_unique_json, b'{"a\\n%b": 1, "a\\n%b": 1}' % (b"x" * 5_000, b"x" * 5_000))
    assert fault.detail.isprintable()
    assert len(fault.detail) < 300
    assert len(fault.errors[0]["pointer"]) <= 101


def test_in_a_large_body_no_places_are_looked_for() -> None:
    large = b'{"a": 1, "a": [' + b",".join([b"{}"] * 100_000) + b"]}"
    assert [error["pointer"] for error in refused(jsontext.read_unique_json, large).errors] == [""]


@pytest.mark.parametrize("text", ["\\\\u0022", "\\u0022", "\\\\\\u0022", '\\"'])
def test_a_large_body_with_escapes_is_no_ambiguous_one(text: str) -> None:
    large = f'["{text * 30_000}"]'.encode()
    assert jsontext.read_unique_json(large)[0] == json.loads(large)


def test_only_the_first_hundred_are_told() -> None:
    many = b"[" + b",".join([b'{"a":1,"a":1}'] * 1_000) + b"]"
    assert len(refused(jsontext.read_unique_json, many).errors) == 100
