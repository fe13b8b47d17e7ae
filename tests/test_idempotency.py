"""Which request an event is: its correlation id, and what makes two requests the same one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bridge import idempotency
from bridge.errors import InvalidCorrelationId, Malformed
from bridge.idempotency import digest, idempotency_key, signed_key
from tests.core_kit import ALICE, BOB, a_run, event, json_values, moderate


def shuffled(value: Any) -> Any:
    """The same JSON value with its keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("identity", ["a", "order-4711", "A.b_c:d@e-f", "x" * 100, "0", "...", ".a", "a..", "-", ":"])
def test_a_correlation_id_is_taken_as_it_is(identity):
    assert idempotency.correlation_id(event(correlationid=identity)) == identity


@pytest.mark.parametrize(
    "identity", ["", ".", "..", "x" * 101, "x" * 5_000_000, "a b", "a/b", "ä", "a\n", "\n", "a\0", "../a", "a,b", "a||b", "٣"]
)
def test_an_odd_or_long_one_is_refused_shortly(identity):
    with pytest.raises(InvalidCorrelationId) as caught:
        idempotency.correlation_id(event(correlationid=identity))
    assert len(caught.value.detail) < 250
    assert "1 to 100 characters" in caught.value.hint


def test_the_event_id_serves_where_no_correlation_id_is_given():
    assert idempotency.correlation_id(event(id="order-7")) == "order-7"


def test_the_length_of_a_long_one_is_told():
    with pytest.raises(InvalidCorrelationId, match="101 characters"):
        idempotency.correlation_id(event(correlationid="x" * 101))


def test_an_event_of_another_type_is_no_request():
    with pytest.raises(Malformed, match=r"automation\.result.*Send automation\.requested"):
        idempotency_key(event(type="automation.result"), "alice")


@pytest.mark.parametrize(
    ("other", "caller", "same"),
    [
        (event({"a": 1, "b": [2]}), ALICE, True),
        (event({"b": [2], "a": 1.0}, id="another-event", correlationid="order-1", time="2026-01-31T12:00:00Z"), ALICE, True),
        (event({"a": 1, "b": [3]}), ALICE, False),
        (event({"a": 1, "b": [2]}, subject="other"), ALICE, False),
        (event({"a": 1, "b": [2]}), BOB, False),
    ],
    ids=["again", "written otherwise", "input", "automation", "submitter"],
)
def test_one_id_is_one_run(other, caller, same):
    run = a_run(data={"a": 1, "b": [2]}, caller=ALICE)
    assert idempotency_key(other, caller.name).matches(run) is same


def test_the_api_has_written_the_key_into_the_event():
    asked = event({"a": 1}, authid="alice", inputdigest=digest({"a": 1}))
    assert signed_key(asked) == idempotency_key(asked, "alice")


# The digest.


@moderate
@given(json_values)
def test_the_canonical_form_is_that_of_rfc_8785(value):
    try:
        expected = rfc8785.dumps(value)
    except rfc8785.CanonicalizationError:
        return
    assert idempotency._canonical(value) == expected


@pytest.mark.parametrize(
    "value", [1.0, 1e21, -0.0, 0.1, 5e-324, {"é": 1, "e": 2}, {"\U0001f600": 1, "\uffff": 2}, "1.5 NaN -0", {"1e5": "\x7f\x00"}]
)
def test_the_canonical_form_is_that_of_rfc_8785_where_pythons_own_differs(value):
    assert idempotency._canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"),
        ({"n": [1, 1.5, "é", None, True]}, "6b88dd44ec7a8173c20b583292869a69c95dc9b3f4c04ebc22a0f30ae33b3990"),
        ({"n": 2**60, "text": "2"}, "f99038808260cdb65f04f2759bfb3f06e7eddfd30f16c76adbb033a7e5400006"),
    ],
)
def test_a_digest_is_the_one_that_stored_runs_have(value, expected):
    assert digest(value) == expected


without_fractions = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.integers(2**60, 2**60 + 2) | st.sampled_from(["", "1", "a"]),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.sampled_from("ab"), part, max_size=2),
    max_leaves=4,
)


@moderate
@given(json_values)
def test_equal_values_have_equal_digests_whatever_the_order_of_keys(value):
    assert digest(value) == digest(shuffled(value))
    assert len(digest(value)) == 64


@moderate
@given(st.lists(without_fractions, max_size=3), st.lists(without_fractions, max_size=3))
def test_different_values_have_different_digests(one, other):
    assert (digest(one) == digest(other)) is (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2**60, 2**60 + 1),
        (2**60, -(2**60)),
        (2**100, 2**100 + 1),
        ({"n": [2**60]}, {"n": [2**60 + 1]}),
        (2**60, str(2**60)),
        (1, True),
        (0, False),
        (None, {}),
        (1, "1"),
        ([], {}),
        ("é", "e\u0301"),
        ([1, 2], [2, 1]),
    ],
)
def test_what_differs_a_little_differs_in_its_digest(one, other):
    assert digest(one) != digest(other)


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0, -0.0), (100, 1e2), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_numbers_are_compared_by_value(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"), [(2**60, {"integer": str(2**60)}), ([2**60, {"integer": str(2**70)}], [2**60, 2**70])], ids=["alone", "among others"]
)
def test_no_object_has_the_digest_of_a_number(one, other):
    assert digest(one) != digest(other)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_cannot_carry_is_refused(number):
    with pytest.raises(Malformed, match="as strings"):
        digest([number])


def test_such_a_number_is_refused_beside_a_large_integer_too():
    with pytest.raises(Malformed):
        digest([2**60, float("inf")])


@pytest.mark.parametrize("text", ["ü", "€", "\x7f", "\u2028", "", "é" * 1_000, '\x01"\\', "1.5 e9"])
def test_text_beyond_ascii_has_the_digest_of_the_library(text):
    for value in (text, {text: 1, "a": 2, "ÿ": [text]}, {"\uffff": 1, text: 2, "\ud7ff": 3}, {"😀": 1, text: 2, "\ue000": 3}):
        assert digest(value) == hashlib.sha256(rfc8785.dumps(value)).hexdigest()
