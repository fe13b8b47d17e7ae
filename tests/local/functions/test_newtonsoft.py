from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.local.functions import newtonsoftreader, newtonsoftwriter
from bridge.local.functions.newtonsoftreader import JsonTime


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{subject: 'S', $a_1: 1}", {"subject": "S", "$a_1": 1}),
        ('{"a": 1,}', {"a": 1}),
        ("[1,,2,]", [1, None, 2]),
        ("/* one */ [0x10, 010, .5, -2] // two", [16, 8, 0.5, -2]),
        (r"""['it\'s', "\u00e9\n"]""", ["it's", "é\n"]),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('"with\ta tab"', "with\ta tab"),
        ("[-Infinity, undefined]", [float("-inf"), None]),
        ("\u00a0[1]\u00a0", [1]),
    ],
)
def test_more_than_the_standard_is_read(text: str, value: Any) -> None:
    assert newtonsoftreader.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", "{", "{a}", "{a b: 1}", '{"a": 1 "b": 2}', "[1] x", "tru", '"open', r'"\x"', r'"\u12"', "1.2.3", "\ufeff{}", "/* open"]
)
def test_what_is_no_json_either_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        newtonsoftreader.parse(text)


@given(st.text(alphabet="{}[]:,'\"/*\\ux0123.eE+-ab \n\u00a0", max_size=60))
def test_whatever_the_text_is_it_is_read_or_refused_and_standard_json_is_read_as_such(text: str) -> None:
    with suppress(ValueError):
        newtonsoftreader.parse(text)
    with suppress(ValueError):
        standard = json.loads(text)
        assert newtonsoftreader.parse(text, times=False) == standard


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_what_is_written_is_read_again_here_and_as_standard_json(value: Any) -> None:
    for text in (newtonsoftwriter.compact(value), newtonsoftwriter.indented(value)):
        assert newtonsoftreader.parse(text, times=False) == value
        assert json.loads(text) == value


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_nothing_is_read_that_is_nested_deeper_than_64(brackets: str) -> None:
    start, end = ("[", "]") if brackets == "[]" else ('{"a":', "}")
    newtonsoftreader.parse(start * 63 + "[]" + end * 63)
    for deep in (start * 64 + "[]" + end * 64, start * 100_000, "'" + start * 100_000, f"{start * 64}[],{end * 64}"):
        with pytest.raises(ValueError, match="JSON"):
            newtonsoftreader.parse(deep)


@pytest.mark.parametrize(
    ("text", "written", "shown"),
    [
        ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z", "11/28/2026 10:00:00"),
        ("2026-11-28T10:00:00.5000+02:00", "2026-11-28T08:00:00.5+00:00", "11/28/2026 08:00:00"),
        ("2026-11-28T10:00:00.12345678", "2026-11-28T10:00:00.1234567", "11/28/2026 10:00:00"),
        ("/Date(0)/", "1970-01-01T00:00:00Z", "01/01/1970 00:00:00"),
        ("/Date(1500+0100)/", "1970-01-01T00:00:01.5+00:00", "01/01/1970 00:00:01"),
        ("0001-01-02T00:00:00", "0001-01-02T00:00:00", "01/02/0001 00:00:00"),
    ],
)
def test_text_that_looks_like_a_time_is_one(text: str, written: str, shown: str) -> None:
    found = newtonsoftreader.time(text)
    assert found == JsonTime(written, shown)
    assert (newtonsoftwriter.compact([found]), newtonsoftwriter.text_of(found)) == (f'["{written}"]', shown)


@pytest.mark.parametrize(
    "text",
    ["2026-11-28", "2026-11-28T10:00Z", "2026-13-28T10:00:00Z", " 2026-11-28T10:00:00Z", "0001-01-01T00:00:00+14:00", "/Date(9e9)/", ""],
)
def test_other_text_stays_text(text: str) -> None:
    assert newtonsoftreader.time(text) == text
    assert newtonsoftreader.parse(f'["{text}"]', times=False) == [text]


@pytest.mark.parametrize(
    ("number", "text", "json"),
    [
        (1.0, "1", "1.0"),
        (1.5, "1.5", "1.5"),
        (-0.0, "-0", "-0.0"),
        (1e14, "100000000000000", "100000000000000.0"),
        (1e15, "1E+15", "1E+15"),
        (123456789012345680.0, "1.2345678901234568E+17", "1.2345678901234568E+17"),
        (0.0001, "0.0001", "0.0001"),
        (-0.000015, "-1.5E-05", "-1.5E-05"),
        (5e-324, "5E-324", "5E-324"),
        (float("inf"), "Infinity", '"Infinity"'),
        (2**70, str(2**70), str(2**70)),
        (True, "True", "true"),
        (None, "", "null"),
        ("é\u2028\n", "é\u2028\n", '"é\\u2028\\n"'),
    ],
)
def test_scalars_are_written_as_dotnet_writes_them(number: Any, text: str, json: str) -> None:
    assert (newtonsoftwriter.text_of(number), newtonsoftwriter.compact(number)) == (text, json)


def test_objects_have_a_line_for_each_entry_and_empty_ones_none() -> None:
    assert (
        newtonsoftwriter.text_of({"a": [1, {"b": []}], "o": {}}) == '{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "o": {}\n}'
    )


@pytest.mark.parametrize(("text", "answer"), [(" {x} ", True), ("[", False), ("[]", True), ("{]", False), ("", False), ("'{}'", False)])
def test_only_text_that_begins_and_ends_as_json_counts_as_json(text: str, answer: bool) -> None:
    assert newtonsoftreader.is_container(text) is answer
