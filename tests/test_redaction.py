from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.redaction import MASK, MOST, masked, redact, secret_paths, secret_texts
from tests.core_kit import json_values, moderate

SECRET: dict[str, Any] = {"type": "string", "writeOnly": True}
HIDDEN = "hunter2"


def shown(schema: dict[str, Any], value: Any) -> Any:
    return masked(value, secret_paths(schema))


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ({}, ()),
        ({"writeOnly": True}, ((),)),
        ({"writeOnly": False}, ()),
        ({"properties": {"a": SECRET, "b": {}}}, (("a",),)),
        ({"properties": {"a": {"properties": {"b": SECRET}}}}, (("a", "b"),)),
        ({"items": SECRET}, (("*",),)),
        ({"prefixItems": [{}, SECRET]}, (("*",),)),
        ({"contains": SECRET}, (("*",),)),
        ({"additionalProperties": SECRET}, (("*",),)),
        ({"unevaluatedProperties": SECRET}, (("*",),)),
        ({"patternProperties": {"^x": SECRET}}, (("*",),)),
        ({"dependentSchemas": {"x": {"properties": {"a": SECRET}}}}, (("a",),)),
        ({"anyOf": [True, {"properties": {"a": SECRET}}]}, (("a",),)),
        ({"oneOf": [{"properties": {"a": SECRET}}, {"properties": {"a": SECRET}}]}, (("a",),)),
        ({"if": {}, "then": {"properties": {"a": SECRET}}, "else": {"properties": {"b": SECRET}}}, (("a",), ("b",))),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"properties": {"c": SECRET}}}}, (("c",),)),
        ({"properties": {"a": {"$ref": "#/$defs/s"}, "b": {"$ref": "#/$defs/s"}}, "$defs": {"s": SECRET}}, (("a",), ("b",))),
        ({"$ref": "#/$defs/none"}, ()),
        ({"$ref": "https://elsewhere/schema"}, ()),
        ({"properties": True, "allOf": None}, ()),
    ],
)
def test_the_places_a_schema_calls_write_only(schema, paths):
    assert secret_paths(schema) == paths


@pytest.mark.parametrize(
    ("paths", "value", "expected"),
    [
        ((), {"a": 1}, {"a": 1}),
        (((),), {"a": 1}, MASK),
        ((("a",),), {"a": {"b": 1}, "c": 2}, {"a": MASK, "c": 2}),
        ((("a", "b"),), {"a": {"b": 1, "c": 2}}, {"a": {"b": MASK, "c": 2}}),
        ((("a", "b"),), {"a": 7}, {"a": 7}),
        ((("*",),), [1, 2], [MASK, MASK]),
        ((("*", "a"),), [{"a": 1}, {"b": 2}], [{"a": MASK}, {"b": 2}]),
        ((("*",),), {"a": 1}, {"a": MASK}),
        ((("a",),), [1], [1]),
        ((("a",),), None, None),
        ((("a",), ("b",)), {"a": 1, "b": 2}, {"a": MASK, "b": MASK}),
    ],
)
def test_secret_places_are_hidden_and_nothing_else(paths, value, expected):
    assert masked(value, paths) == expected


@moderate
@given(json_values)
def test_hiding_leaves_the_value_itself_alone(value):
    before = repr(value)
    masked(value, (("a",), ("*", "a"), ("*",)))
    assert repr(value) == before


# A schema built together with a value in which every secret is HIDDEN and nothing else is.
Pair = tuple[dict[str, Any], Any]


def _object(parts: dict[str, Pair]) -> Pair:
    return {"properties": {name: part[0] for name, part in parts.items()}}, {name: part[1] for name, part in parts.items()}


def _list(part: Pair) -> Pair:
    return {"items": part[0]}, [part[1], part[1]]


def _wrapped(part: Pair, keyword: str) -> Pair:
    return {keyword: [{}, part[0]]}, part[1]


def _referred(part: Pair, name: str) -> Pair:
    schema, value = part
    return {"$ref": f"#/$defs/{name}", "$defs": {name: schema}}, value


secrets = st.sampled_from([HIDDEN, [HIDDEN], {"deep": {"er": [HIDDEN]}}]).map(lambda value: ({"writeOnly": True}, value))
plain = st.sampled_from([1, None, "visible", [], {}]).map(lambda value: ({}, value))
pairs = st.recursive(
    secrets | plain,
    lambda part: (
        st.dictionaries(st.sampled_from("abc*"), part, max_size=3).map(_object)
        | part.map(_list)
        | st.tuples(part, st.sampled_from(["allOf", "anyOf", "oneOf"])).map(lambda drawn: _wrapped(*drawn))
    ),
    max_leaves=8,
)


@moderate
@given(pairs, st.booleans())
def test_nothing_under_a_write_only_place_is_ever_visible(pair, through_reference):
    schema, value = _referred(pair, "x") if through_reference else pair
    assert HIDDEN not in repr(shown(schema, value))


# References.

NODE = {"properties": {"password": SECRET, "next": {"$ref": "#/$defs/node"}, "all": {"items": {"$ref": "#/$defs/node"}}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    ],
)
def test_references_in_a_circle_end(schema):
    assert isinstance(secret_paths(schema), tuple)


@pytest.mark.parametrize(
    "value",
    [{"next": {"password": HIDDEN}}, {"next": {"next": {"next": {"password": HIDDEN}}}}, {"all": [{"all": [{"password": HIDDEN}]}]}],
)
def test_secrets_of_a_recursive_schema_are_hidden_at_every_level(value):
    assert HIDDEN not in repr(shown({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, value))


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/$defs/list/prefixItems/0"}}, "$defs": {"list": {"prefixItems": [SECRET]}}},
        {"properties": {"a": {"$ref": "#key"}}, "$defs": {"k": {"$anchor": "key", **SECRET}}},
        {"properties": {"a": {"$dynamicRef": "#key"}}, "$defs": {"k": {"$dynamicAnchor": "key", **SECRET}}},
        {"properties": {"a": {"$ref": "#/$defs/my%20key"}}, "$defs": {"my key": SECRET}},
        {"properties": {"a": {"$ref": "urn:key"}}, "$defs": {"k": {"$id": "urn:key", **SECRET}}},
    ],
    ids=["array", "anchor", "dynamic", "percent", "id"],
)
def test_every_local_reference_is_followed(schema):
    assert HIDDEN not in repr(shown(schema, {"a": HIDDEN}))


EVEN = {"properties": {"secret": SECRET, "name": {}, "next": {"$ref": "#/$defs/odd"}, "all": {"items": {"$ref": "#/$defs/even"}}}}
ODD = {"properties": {"key": SECRET, "name": {}, "next": {"$ref": "#/$defs/even"}}}
NAMED = {"name": st.just("visible")}
evens = st.deferred(
    lambda: st.fixed_dictionaries(NAMED, optional={"secret": st.just(HIDDEN), "next": odds, "all": st.lists(evens, max_size=2)})
)
odds = st.deferred(lambda: st.fixed_dictionaries(NAMED, optional={"key": st.just(HIDDEN), "next": evens}))


@moderate
@given(evens)
def test_schemas_that_refer_to_each_other_hide_their_secrets_and_nothing_else(value):
    seen = repr(shown({"$ref": "#/$defs/even", "$defs": {"even": EVEN, "odd": ODD}}, value))
    assert HIDDEN not in seen
    assert seen.count("visible") == repr(value).count("visible")


def test_unevaluated_items_are_hidden():
    assert HIDDEN not in repr(shown({"unevaluatedItems": SECRET}, [HIDDEN]))


# What it may cost.


def each_other(count: int, secret: dict[str, Any]) -> dict[str, Any]:
    """Definitions that all refer to each other: the ways through them are more than anybody counts."""
    links = {f"to{number}": {"$ref": f"#/$defs/d{number}"} for number in range(count)}
    return {"$ref": "#/$defs/d0", "$defs": {f"d{number}": {"properties": {**links, **secret}} for number in range(count)}}


def doubling(depth: int, last: dict[str, Any]) -> dict[str, Any]:
    links = {f"d{each}": {"allOf": [{"$ref": f"#/$defs/d{each + 1}"}, {"$ref": f"#/$defs/d{each + 1}"}]} for each in range(depth)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{depth}": last}}


def chain(length: int, last: dict[str, Any]) -> dict[str, Any]:
    links = {f"d{each}": {"$ref": f"#/$defs/d{each + 1}"} for each in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{length}": last}}


@pytest.mark.parametrize(
    "schema",
    [
        each_other(15, {"password": SECRET}),
        each_other(15, {"password": {"allOf": [{"$ref": "#/$defs/secret"}]}}) | {"x": 1},
        doubling(40, {"properties": {"password": SECRET}}),
        chain(5_000, {"properties": {"password": SECRET}}),
        {"properties": {f"p{number}": {"properties": {"password": SECRET}} for number in range(1_000)}},
    ],
    ids=["each other", "each other, by a definition", "doubling", "a long chain", "very many"],
)
def test_secrets_are_hidden_although_the_ways_to_them_cannot_be_counted(schema):
    schema.setdefault("$defs", {})["secret"] = SECRET
    value = {"password": HIDDEN, "to3": {"to7": {"password": HIDDEN}}, "p9": {"password": HIDDEN}, "other": "seen"}
    hidden = shown(schema, value)
    assert HIDDEN not in str(hidden)
    assert hidden["other"] == "seen"


def test_a_secret_without_a_name_that_cannot_be_told_apart_hides_everything():
    assert shown(doubling(40, {"items": SECRET}), [HIDDEN]) == MASK


def test_many_places_are_looked_for_in_one_walk():
    paths = tuple(("**", f"name{number}", "**", "deep") for number in range(200))
    value = {f"name{number}": [{"deep": HIDDEN, "plain": number}] for number in range(20_000)}
    hidden = masked(value, paths)
    assert (hidden["name7"], hidden["name19999"]) == ([{"deep": MASK, "plain": 7}], [{"deep": HIDDEN, "plain": 19_999}])


def test_many_secrets_are_looked_for_in_many_texts_at_once():
    secrets = [f"secret-{number:03}" for number in range(100)]
    output = [*secrets, *["abc"] * 100_000, {"in secret-007 key": "and secret-008"}]
    clean = redact(output, secrets)
    assert clean[:100] == [MASK] * 100
    assert clean[-1] == {f"in {MASK} key": f"and {MASK}"}


def test_no_more_secrets_are_looked_for_than_there_may_be():
    texts = secret_texts({"s": [f"secret-{number}" for number in range(100_000)]}, (("s", "*"),))
    assert len(texts) == MOST


@moderate
@given(json_values)
def test_redaction_puts_every_text_back_where_it_was(value):
    assert redact([value, "secret-text"], ["secret-text"]) == [value, MASK]


@pytest.mark.parametrize("schema", [each_other(15, {}), doubling(40, {"type": "object"}), chain(5_000, {})])
def test_a_schema_without_secrets_has_none_however_many_ways_lead_through_it(schema):
    assert secret_paths(schema) == ()
