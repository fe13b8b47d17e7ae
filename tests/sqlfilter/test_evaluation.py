from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sqlfilter import MessageProperties, correlates, matches, parse_filter
from bridge.sqlfilter.evaluation import truth
from tests.sqlfilter.kit import predicates

ORDER = MessageProperties(
    {"label": "order", "to": "", "correlation_id": "c-1"},
    {"color": "red", "Quantity": 10, "price": 2.5, "exact": Decimal("2.5"), "urgent": True, "nothing": None, "id": UUID(int=7)},
)


def value(text: str, message: MessageProperties = ORDER) -> bool | None:
    return truth(parse_filter(text), message)


@pytest.mark.parametrize(
    "text",
    [
        "color = 'red' AND quantity = 10",
        "color <> 'Red' AND color != 'blue'",
        "QUANTITY >= 10 AND user.quantity < 10.5",
        "quantity = 10.0 AND price = exact AND quantity / 4 = price - 0.5",
        "quantity / 3 = 3 AND -quantity / 3 = -3 AND -quantity % 3 = -1",
        "color + '-' + quantity = 'red-10'",
        "sys.Label = 'order' AND sys.Subject = 'order'",
        "sys.To IS NULL AND sys.CorrelationId IS NOT NULL AND EXISTS(sys.Label) AND NOT EXISTS(sys.ReplyTo)",
        "EXISTS(nothing) AND nothing IS NULL AND absent IS NULL AND NOT EXISTS(absent)",
        "urgent = TRUE AND urgent <> FALSE",
        "color IN ('blue', 'red') AND quantity NOT IN (1, 2, 3)",
        "color LIKE 'r_d' AND color LIKE '%e%' AND color NOT LIKE 'R%'",
        "'100%' LIKE '%!%' ESCAPE '!' AND 'a_b' LIKE 'a!_b' ESCAPE '!' AND 'axb' NOT LIKE 'a!_b' ESCAPE '!'",
        "property('col' + 'or') = 'red' AND p('Quantity') = 10",
        "newid() <> id AND id = id",
        "absent = 1 OR color = 'red'",
        "color IN (absent, 'red')",
        "1 = 1",
    ],
)
def test_a_condition_that_holds(text):
    assert value(text) is True


@pytest.mark.parametrize(
    "text",
    ["color = 'blue'", "NOT (color = 'red')", "absent = 1 AND color = 'blue'", "color NOT IN ('red', absent)", "1 = 0", "color LIKE 're'"],
)
def test_a_condition_that_does_not_hold(text):
    assert value(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "absent = 1",
        "NOT (absent = 1)",
        "absent <> 1",
        "absent + 1 > 0",
        "-absent > 0",
        "absent IN (1)",
        "color IN ('blue', absent)",
        "color NOT IN ('blue', absent)",
        "absent NOT LIKE 'a%'",
        "color LIKE absent",
        "absent = 1 AND color = 'red'",
        "absent = 1 OR color = 'blue'",
        "nothing = NULL",
        "color = 1",
        "color > TRUE",
        "urgent > FALSE",
        "color - 1 = 0",
        "quantity / 0 = 1",
        "quantity % 0 = 1",
        "9223372036854775807 + 1 > 0",
        "-9223372036854775808 * -1 > 0",
        "-(-9223372036854775808) > 0",
        "color LIKE 'r%' ESCAPE 'ab'",
        "property(quantity) = 1",
        "sys.ReplyTo = 'x'",
    ],
)
def test_what_is_not_known_selects_nothing(text):
    assert value(text) is None
    assert not matches(parse_filter(text), ORDER)


@given(predicates)
def test_evaluation_raises_nothing(predicate):
    assert truth(predicate, ORDER) in (True, False, None)


truths = st.sampled_from([True, False, None])


@given(truths, truths)
def test_and_or_and_not_follow_kleene(left, right):
    facts = {True: "1 = 1", False: "1 = 0", None: "absent = 1"}
    rank = {False: 0, None: 1, True: 2}
    both, either = f"{facts[left]} AND {facts[right]}", f"{facts[left]} OR {facts[right]}"
    assert value(both) is min(left, right, key=rank.__getitem__)
    assert value(either) is max(left, right, key=rank.__getitem__)
    assert value(f"NOT ({both})") is {True: False, False: True, None: None}[value(both)]


@given(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31))
def test_whole_numbers_divide_as_in_c_sharp(left, right):
    message = MessageProperties(user={"a": left, "b": right})
    if right:
        assert value("a / b * b + a % b = a", message) is True
        assert value("a % b = 0 OR (a % b > 0 AND a > 0) OR (a % b < 0 AND a < 0)", message) is True


def like_model(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like_model(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like_model(text[1:], pattern[1:])


@given(st.text(alphabet="ab\n", max_size=8), st.text(alphabet="ab%_\n", max_size=6))
def test_like_matches_what_its_simple_model_matches(text, pattern):
    assert value("t LIKE p", MessageProperties(user={"t": text, "p": pattern})) is like_model(text, pattern)


@pytest.mark.parametrize(("text", "pattern"), [("aba", "ab%ba"), ("a", "a%a"), ("aa", "a%a%a"), ("ab", "_%_%_")])
def test_the_pieces_of_a_pattern_do_not_share_characters(text, pattern):
    assert value("t LIKE p", MessageProperties(user={"t": text, "p": pattern})) is False


def test_a_pattern_of_many_wildcards_takes_no_long_time():
    message = MessageProperties(user={"t": "a" * 30_000, "p": "%a" * 300 + "%b"})
    assert value("t LIKE p", message) is False


def test_a_text_longer_than_azure_takes_is_not_known():
    assert value("t LIKE '%'", MessageProperties(user={"t": "a" * 40_000})) is None
    assert value("t + t = t", MessageProperties(user={"t": "a" * 30_000})) is None


def test_times_are_compared_with_and_without_zone():
    message = MessageProperties(user={"a": datetime(2026, 1, 1, tzinfo=UTC), "b": datetime(2026, 1, 2)})  # noqa: DTZ001 - on purpose
    assert value("a < b", message) is True


def test_a_decimal_that_is_no_number_is_not_known():
    assert value("a < 1", MessageProperties(user={"a": Decimal("sNaN")})) is None
    assert value("a + 1 < 1", MessageProperties(user={"a": Decimal("sNaN")})) is None


@pytest.mark.parametrize(
    ("fields", "properties", "taken"),
    [
        ({"label": "order", "correlation_id": "c-1"}, {}, True),
        ({"label": "Order"}, {}, False),
        ({}, {"quantity": 10.0, "color": "red"}, True),
        ({}, {"quantity": "10"}, False),
        ({}, {"urgent": 1}, False),
        ({}, {"absent": None}, False),
        ({"reply_to": "x"}, {}, False),
    ],
)
def test_a_correlation_filter_needs_all_its_fields(fields, properties, taken):
    assert correlates(fields, properties, ORDER) is taken
