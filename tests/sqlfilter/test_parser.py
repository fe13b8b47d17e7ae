from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.sqlfilter import LONGEST, FilterSyntaxError, parse_action, parse_filter
from bridge.sqlfilter.syntax import Arithmetic, Comparison, Conjunction, Constant, Disjunction, Negation, PropertyReference, Signed
from tests.sqlfilter.kit import predicates, written


def refusal(text: str) -> str:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    return str(caught.value)


@given(predicates)
def test_what_is_written_and_parsed_is_the_same(predicate):
    text = written(predicate)
    assume(len(text) <= LONGEST)
    assert parse_filter(text) == predicate


@given(st.text(alphabet="ab1. ()'[]\"=<>!+-*/%,;@ANDORNOTINLIKEISULXST_", max_size=60))
def test_any_other_text_is_refused_and_nothing_worse(text):
    with suppress(FilterSyntaxError):
        parse_filter(text)


@pytest.mark.parametrize(
    "text",
    [
        "sys.Label LIKE '%bus%'",
        "sys.Label LIKE '%bus%' OR user.tag IN ('queue', 'topic', 'subscription')",
        "StoreId IN('Store1', 'Store2', 'Store3')",
        "sys.To NOT IN ('Store1','Store2') OR StoreId NOT IN ('Store1','Store2')",
        "color='blue' AND quantity=10",
        '[Property With Space] = 1 AND [HR-EmployeeID] > 1894.1204 AND "Contoso & Northwind" <> 101.5E5',
        "property LIKE 'ABC\\%' ESCAPE '\\'",
        "p('a' + 'b') = 0.5E-2 AND NOT EXISTS(x) and x is not null",
        "sys.CorrelationId IS NULL OR (quantity * -2 + 1) % 3 = 0",
        "größe = 1 AND 数量 = 2",
    ],
)
def test_the_examples_of_the_documentation_are_taken(text):
    parse_filter(text)


def test_not_binds_tighter_than_and_which_binds_tighter_than_or():
    a, b, c = (Comparison(PropertyReference(name), "=", Constant(1)) for name in "abc")
    assert parse_filter("NOT a = 1 AND b = 1 OR c = 1") == Disjunction((Conjunction((Negation(a), b)), c))
    assert parse_filter("NOT (a = 1 AND (b = 1 OR c = 1))") == Negation(Conjunction((a, Disjunction((b, c)))))


def test_products_bind_tighter_than_sums_and_signs_tighter_than_both():
    one, two = Constant(1), Constant(2)
    product = Arithmetic(PropertyReference("a"), (("*", two), ("/", one)))
    assert parse_filter("1 + a * 2 / 1 - -a = 2") == Comparison(
        Arithmetic(one, (("+", product), ("-", Signed("-", PropertyReference("a"))))), "=", two
    )


def test_keywords_and_scopes_may_be_written_in_any_case():
    assert parse_filter("SYS.label = 'a' aNd User.b Is nOt nULL") == parse_filter("sys.Label='a' AND user.b IS NOT NULL")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "position 1: expected a property, a constant, a function or '(', found the end"),
        ("a = ", "position 5: expected a property, a constant, a function or '(', found the end"),
        ("a = 1 b = 2", "position 7: expected AND, OR or the end, found 'b'"),
        ("urgent", "position 1: a value alone is no condition"),
        ("a = 1 AND urgent", "position 11: a value alone is no condition"),
        ("(a = 1) = TRUE", "position 1: a condition cannot be used as a value"),
        ("a + (b = 1) = 2", "position 5: a condition cannot be used as a value"),
        ("a = 'open", "position 5: the text in single quotes is empty or does not end"),
        ("[] = 1", "position 1: the name in brackets is empty or does not end"),
        ("a # 1", "position 3: '#' cannot stand here"),
        ("source = @stringParam", "position 10: the parameter '@stringParam' has no value here"),
        ("sys.Priority = 1", "position 5: messages have no system property 'Priority' here; there are contenttype, correlationid"),
        ("other.a = 1", "position 1: 'other' is no scope"),
        ("lower(a) = 'b'", "position 1: there is no function 'lower'"),
        ("a + 1 IS NULL", "position 1: only a property can be compared with IS NULL"),
        ("a NOT = 1", "position 7: expected IN or LIKE, found '='"),
        ("a IN ()", "position 7: expected a property"),
        ("a = 9223372036854775808", "position 5: 9223372036854775808 does not fit into 64 bits"),
        ("EXISTS(a", "position 9: expected ')', found the end"),
        ("a = b = c", "position 7: expected AND, OR or the end, found '='"),
    ],
)
def test_a_mistake_is_named_with_its_position_and_what_was_expected(text, said):
    assert refusal(text).startswith(said)


def test_the_smallest_64_bit_number_can_be_written():
    assert parse_filter("a = -9223372036854775808") == Comparison(PropertyReference("a"), "=", Constant(-(2**63)))


def test_length_and_depth_are_bounded():
    assert "1,024 are allowed" in refusal("a = 1 OR " * 200 + "a = 1")
    for deep in ("(" * 400 + "a = 1" + ")" * 400, "NOT " * 200 + "a = 1", "a = " + "- " * 400 + "a", "a = " + "p(" * 200 + "a" + ")" * 200):
        assert "nested more than 32 levels deep" in refusal(deep)


def test_a_long_chain_is_not_deep():
    parse_filter("a=" + "+".join("1" * 500))
    parse_filter(" OR ".join(["a=1"] * 140))


def test_statements_may_end_with_a_semicolon():
    assert parse_action("SET a = 1; SET sys.Label = 'x' REMOVE b;") == parse_action("set a=1 set sys.subject='x'; remove b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "position 1: expected SET or REMOVE, found the end"),
        ("SET a", "position 6: expected '=', found the end"),
        ("SET a = (b = 1)", "position 9: a condition cannot be used as a value"),
        ("SET sys.EnqueuedTimeUtc = 1", "position 5: an action cannot change this system property, only contenttype, correlationid"),
        ("SET 1 = 1", "position 5: expected the name of a property, found '1'"),
        ("UPDATE a = 1", "position 1: expected SET or REMOVE, found 'UPDATE'"),
        ("REMOVE a;" * 33, "position 289: an action has at most 32 statements"),
    ],
)
def test_an_action_with_a_mistake_is_refused(text, said):
    with pytest.raises(FilterSyntaxError) as caught:
        parse_action(text)
    assert str(caught.value).startswith(said)
