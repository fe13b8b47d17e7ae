from __future__ import annotations

import pytest

from bridge.local.functions import bodymerge


def test_scalars_become_text_as_dotnet_writes_it_and_objects_stay() -> None:
    body = """{"s": "x", "t": true, "n": 12345678901234567890, "f": 1.50, "e": 1e3, "o": {"a": [1]}, "none": null, "list": [1],
        "utc": "2026-11-28T10:00:00Z", "offset": "2026-11-28T10:00:00.5+02:00", "day": "2026-11-28"}"""

    assert bodymerge.properties(body) == {
        "s": {"string": "x"},
        "t": {"string": "True"},
        "n": {"string": "12345678901234567890"},
        "f": {"string": "1.5"},
        "e": {"string": "1000"},
        "o": {"json": '{"a":[1]}'},
        "utc": {"string": "11/28/2026 10:00:00"},
        "offset": {"string": "11/28/2026 08:00:00"},
        "day": {"string": "2026-11-28"},
    }


@pytest.mark.parametrize("body", ["", "[1]", "text", '"x"', "{", "{" * 100_000, "null"])
def test_nothing_else_is_merged(body: str) -> None:
    assert bodymerge.properties(body) == {}


def test_a_property_takes_the_place_of_the_broker_s_in_any_letter_case_and_the_name_stays() -> None:
    own = {"MessageId": {"string": "broker's"}, "Label": {"string": "label"}}

    assert bodymerge.over(own, bodymerge.properties('{"messageid": "body\'s"}')) == {
        "MessageId": {"string": "body's"},
        "Label": {"string": "label"},
    }


def test_of_names_that_differ_in_letter_case_the_first_form_stays_with_the_last_value() -> None:
    assert bodymerge.properties('{"x": 1, "X": 2}') == {"x": {"string": "2"}}


@pytest.mark.parametrize("body", ["{subject:'S'}", " {'subject': 'S',} ", '{/* why */ "subject": "S"}'])
def test_what_newtonsoft_reads_is_json_although_the_standard_says_no(body: str) -> None:
    assert bodymerge.properties(body) == {"subject": {"string": "S"}}


@pytest.mark.parametrize("body", ['/* why */ {"subject": "S"}', '{"subject": "S"} x', '\ufeff{"subject": "S"}'])
def test_what_does_not_begin_and_end_as_an_object_is_not_merged(body: str) -> None:
    assert bodymerge.properties(body) == {}
