"""The schemas within a schema, and what references mean."""

from __future__ import annotations

import pytest

from bridge.schemas.subschemas import References, dialects

ROOT = {
    "$id": "https://x.example/root",
    "$defs": {
        "a": {"$anchor": "here", "title": "a"},
        "b/c": {"title": "slash"},
        "d": {"$id": "urn:x:d", "$defs": {"inner": {"$anchor": "here", "title": "inner"}}, "title": "d"},
    },
    "prefixItems": [{"title": "first"}],
}


@pytest.mark.parametrize(
    ("reference", "title"),
    [
        ("#/$defs/a", "a"),
        ("#here", "a"),
        ("#/$defs/b~1c", "slash"),
        ("#/%24defs/b~1c", "slash"),
        ("urn:x:d", "d"),
        ("urn:x:d#/$defs/inner", "inner"),
        ("urn:x:d#here", "inner"),
        ("https://x.example/root#/$defs/a", "a"),
        ("#/prefixItems/0", "first"),
    ],
)
def test_a_reference_means_a_schema_within(reference: str, title: str) -> None:
    assert References(ROOT).meant(reference)["title"] == title


@pytest.mark.parametrize(
    "reference", ["#/$defs/none", "#nowhere", "urn:x:none", "#/prefixItems/1", "#/prefixItems/" + "9" * 5_000, "#/title/x"]
)
def test_a_reference_to_nothing_means_nothing(reference: str) -> None:
    assert References(ROOT).meant(reference) is None


def test_dialects_are_found_where_schemas_are_and_nowhere_else() -> None:
    schema = {
        "$schema": "top",
        "$defs": {"a": {"$schema": "in a definition"}},
        "items": {"not": {"$schema": "below"}},
        "properties": {"$schema": {"const": {"$schema": "a value"}}},
        "default": {"$schema": "a value"},
    }
    assert sorted(dialects(schema)) == ["below", "in a definition", "top"]
