"""What a new input schema refuses that the old one took: each place, and a value that shows it."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.rollout.containment import Contained
from bridge.rollout.narrowing import narrowings

TEXT = {"type": "string"}
SECRET_FREE = {"type": "string", "not": {"pattern": "PRIVATE KEY"}}
TREE = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def tree(**more: Any) -> dict[str, Any]:
    return {"$ref": "#/$defs/node", "$defs": {"node": {**TREE, **more}}}


def kinds(*names: str) -> list[dict[str, Any]]:
    return [{"type": "object", "required": ["kind"], "properties": {"kind": {"const": name}}} for name in names]


NARROWED: dict[str, tuple[Any, Any, str, Any]] = {
    "a property is required": (closed(a=TEXT), {**closed(a=TEXT), "required": ["a"]}, "required", {}),
    "a property is gone": (closed(a=TEXT, b=TEXT), closed(a=TEXT), "properties", ...),
    "other properties are gone": ({"type": "object"}, closed(), "additionalProperties", ...),
    "a value is gone": ({"enum": [1, 2, 3]}, {"enum": [1, 2]}, "enum", 3),
    "a number becomes an integer": ({"type": "number"}, {"type": "integer"}, "type", 0.5),
    "null is gone": ({"type": ["string", "null"]}, TEXT, "type", None),
    "null is gone from anyOf": ({"anyOf": [TEXT, {"type": "null"}]}, TEXT, "type", None),
    "a minimum is raised": ({"minimum": 1}, {"minimum": 2}, "minimum", 1),
    "a bound is exclusive": ({"maximum": 5}, {"exclusiveMaximum": 5}, "exclusiveMaximum", 5),
    "texts are shorter": (closed(a={**TEXT, "maxLength": 9}), closed(a={**TEXT, "maxLength": 3}), "properties.a.maxLength", "aaaa"),
    "texts have a pattern": (TEXT, {**TEXT, "pattern": "^x"}, "pattern", ...),
    "texts have a format": (TEXT, {**TEXT, "format": "date"}, "format", ...),
    "a pattern is forbidden": (TEXT, SECRET_FREE, "not", ...),
    "items are fewer": ({"type": "array"}, {"type": "array", "maxItems": 1}, "maxItems", ...),
    "items are of another type": ({"items": {"type": "number"}}, {"items": {"type": "integer"}}, "items.type", 0.5),
    "items are distinct": ({"type": "array"}, {"type": "array", "uniqueItems": True}, "uniqueItems", ["a", "a"]),
    "deep inside": (closed(a=closed(b={"minimum": 1})), closed(a=closed(b={"minimum": 2})), "properties.a.properties.b.minimum", 1),
    "in a definition": (tree(), tree(required=["name"]), "$defs.node.required", {}),
    "through allOf": (TEXT, {"allOf": [TEXT, {"maxLength": 1}]}, "allOf.1.maxLength", "aa"),
    "a branch is gone": ({"oneOf": kinds("a", "b")}, {"oneOf": kinds("a")}, "oneOf", {"kind": "b"}),
}


@pytest.mark.parametrize("case", NARROWED)
def test_a_narrowing_is_found_with_its_place_and_a_value(case: str) -> None:
    before, after, place, value = NARROWED[case]
    (found,) = narrowings(before, after)
    assert ".".join(map(str, found.path)) == place
    assert found.verdict.contained is Contained.NO
    if value is not ...:
        assert found.verdict.example == value


WIDENED: dict[str, tuple[Any, Any]] = {
    "nothing": (closed(a=SECRET_FREE), closed(a=SECRET_FREE)),
    "only words": (closed(a={**TEXT, "title": "A", "default": "x"}), closed(a={**TEXT, "description": "B", "examples": ["y"]})),
    "an optional property": (closed(a=TEXT), closed(a=TEXT, b=TEXT)),
    "required no longer": ({**closed(a=TEXT), "required": ["a"]}, closed(a=TEXT)),
    "longer texts beside what is forbidden": ({**SECRET_FREE, "maxLength": 3}, {**SECRET_FREE, "maxLength": 9}),
    "one more value": ({"enum": ["a"]}, {"enum": ["a", "b"]}),
    "a list of values becomes a text": ({"enum": ["a", "b"]}, TEXT),
    "integers become numbers": ({"type": "integer", "minimum": 1}, {"type": "number", "exclusiveMinimum": 0}),
    "one more branch": ({"oneOf": kinds("a")}, {"oneOf": kinds("a", "b")}),
    "a bound for texts where only numbers fit": ({"type": "integer"}, {"type": "integer", "maxLength": 1}),
    "a tree that was stricter": (tree(required=["name"]), tree()),
    "a definition instead of the same in place": ({"$ref": "#/$defs/t", "$defs": {"t": TEXT}}, TEXT),
}


@pytest.mark.parametrize("case", WIDENED)
def test_what_takes_at_least_as_much_is_no_narrowing(case: str) -> None:
    before, after = WIDENED[case]
    assert narrowings(before, after) == []


UNKNOWN: dict[str, tuple[Any, Any]] = {
    "two patterns": ({**TEXT, "pattern": "^ab"}, {**TEXT, "pattern": "^a"}),
    "a format that is not known": (TEXT, {**TEXT, "format": "our-own"}),
    "patterns of names": ({"patternProperties": {"^x-a": TEXT}}, {"patternProperties": {"^x-": {"maxLength": 3}}}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_judged_is_said_to_be_so(case: str) -> None:
    before, after = UNKNOWN[case]
    assert {found.verdict.contained for found in narrowings(before, after)} == {Contained.UNKNOWN}


def test_a_property_that_was_let_through_unseen_is_told_apart() -> None:
    (found,) = narrowings({"type": "object"}, {"type": "object", "properties": {"a": TEXT}})
    assert found.opened
    assert found.name == "a"


def deep(inner: Any) -> Any:
    """Deeper than what can be proved as a whole."""
    for _ in range(130):
        inner = closed(a=inner)
    return inner


def test_what_is_alike_on_both_sides_of_a_deep_schema_is_not_told() -> None:
    (found,) = narrowings(deep(TEXT), {**deep(TEXT), "required": ["a"]})
    assert ".".join(map(str, found.path)) == "required"


def test_a_deep_schema_that_takes_more_is_proved_by_its_parts() -> None:
    assert narrowings(deep({**TEXT, "maxLength": 3}), deep({**TEXT, "maxLength": 9})) == []


def test_true_is_not_one() -> None:
    (found,) = narrowings({"const": True}, {"const": 1})
    assert found.verdict.contained is Contained.NO
    assert found.path == ("const",)


def test_a_keyword_that_is_alike_is_told_if_its_reference_or_its_neighbour_is_not() -> None:
    before = {"properties": {"a": {"$ref": "#/$defs/t"}}, "$defs": {"t": {"type": "number"}}}
    (referred,) = narrowings(before, {**before, "$defs": {"t": {"type": "integer"}}})
    assert ".".join(map(str, referred.path)) == "$defs.t.type"
    (beside,) = narrowings(closed(a=TEXT, b=TEXT), closed(a=TEXT))
    assert beside.name == "b"


def test_each_of_several_places_is_found() -> None:
    before = closed(a={**TEXT, "maxLength": 9}, b={"minimum": 1}, c=TEXT)
    after = {**closed(a={**TEXT, "maxLength": 3}, b={"minimum": 2}), "required": ["a"]}
    places = {".".join(map(str, each.path)) for each in narrowings(before, after)}
    assert places == {"properties.a.maxLength", "properties.b.minimum", "properties", "required"}


def test_references_that_name_no_definition_are_judged_as_a_whole() -> None:
    before = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"$ref": "#/properties/a"}}}
    after = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}}}
    (found,) = narrowings(before, after)
    assert found.path == ()
    assert found.verdict.contained is Contained.NO


VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, 3, -1, 0.5, 2.5, "", "a", "ab", "abc", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "xa"]), inner, max_size=3),
    max_leaves=5,
)


def of_schema(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names, numbers = st.sampled_from(["a", "b", "c"]), st.integers(0, 3)
    types = st.sampled_from(["string", "integer", "number", "object", "array", "null", "boolean"])
    listed = st.lists(inner, min_size=1, max_size=2)
    keywords = {
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems"), numbers),
        **dict.fromkeys(("items", "contains", "not", "if", "then", "additionalProperties", "propertyNames"), inner),
        **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), listed),
        "type": types | st.lists(types, min_size=1, max_size=2, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "required": st.lists(names, min_size=1, max_size=2, unique=True),
        "properties": st.dictionaries(names, inner, min_size=1, max_size=2),
        "patternProperties": st.dictionaries(st.just("^x"), inner, min_size=1),
        "pattern": st.sampled_from(["^a", "b$"]),
        "unevaluatedProperties": st.just(False),
        "uniqueItems": st.just(True),
    }
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: keywords[name] for name in names}))


SCHEMAS = st.recursive(st.booleans() | st.just({}), of_schema, max_leaves=6).filter(lambda schema: isinstance(schema, dict))


@settings(max_examples=150, deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=20, max_size=40))
def test_where_nothing_is_found_no_value_is_refused(before: Any, more: Any, values: list[Any]) -> None:
    """The schema after is the one before with some keywords of another, so that many pairs are alike."""
    after = {**before, **dict(list(more.items())[:1])}
    if narrowings(before, after):
        return
    takes, took = jsonschema_rs.Draft202012Validator(after), jsonschema_rs.Draft202012Validator(before)
    assert [value for value in values if took.is_valid(value) and not takes.is_valid(value)] == []
