"""What it may cost to hold an input against a schema, as far as the schema tells."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.schemas.inputschema import CompiledSchema

TWICE = [{"type": "array", "items": {"$ref": "#/$defs/nest"}}, {"type": "array", "items": {"$ref": "#/$defs/nest"}, "minItems": 1}]
RECURSIVE = {"$ref": "#/$defs/nest", "$defs": {"nest": {"anyOf": TWICE}}}
DOUBLING = {
    "$ref": "#/$defs/d0",
    "$defs": {**{f"d{each}": {"oneOf": [{"$ref": f"#/$defs/d{each + 1}"}] * 2} for each in range(40)}, "d40": {"type": "object"}},
}


def cost(schema: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a judgement of a hundred bytes is known to be short, and the search for words in it."""
    compiled = CompiledSchema(schema)
    return compiled.judges_at_once(100), compiled.explains_at_once(100)


@pytest.mark.parametrize(
    ("schema", "known"),
    [
        ({}, (True, True)),
        ({"properties": {f"p{number}": {"type": "string"} for number in range(2_000)}}, (True, True)),
        ({"properties": {"tree": {"$ref": "#/$defs/t"}}, "$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}}, (True, False)),
        (RECURSIVE, (False, False)),
        ({"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}}, (False, False)),
        (DOUBLING, (False, False)),
        ({"enum": list(range(1_000_000))}, (False, False)),
        ({"format": "regex"}, (False, False)),
        ({"pattern": r"(a)\1"}, (False, False)),
        ({"$defs": {f"d{each}": {"$ref": f"#/$defs/d{each + 1}"} for each in range(2_000)}, "$ref": "#/$defs/d0"}, (False, False)),
    ],
)
def test_what_is_not_known_to_be_short_is_not_done_at_once(schema: dict[str, Any], known: tuple[bool, bool]) -> None:
    schema.get("$defs", {}).setdefault("d2000", {})
    assert cost(schema) == known


def test_a_larger_input_costs_more():
    compiled = CompiledSchema({"items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}})
    assert [compiled.explains_at_once(size) for size in (100, 100_000)] == [True, False]
    assert [compiled.judges_at_once(size) for size in (1_000_000, 100_000_000)] == [True, False]


def test_a_pattern_without_a_way_back_takes_no_time_over_any_text():
    compiled = CompiledSchema({"pattern": "^(a+)+$"})
    assert compiled.judges_at_once(100_000)
    assert not compiled.fits("a" * 100_000 + "b")
