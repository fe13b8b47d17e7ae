"""The mappings of a catalogue are held against the input schema when the catalogue is read."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.catalog.mappingcheck import problems
from bridge.catalog.target import Target

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "owner": {"$ref": "#/$defs/person"},
        "secret": {"type": "string", "writeOnly": True},
        "any": {},
    },
    "allOf": [{"properties": {"more": {"type": "integer"}}}],
    "$defs": {"person": {"type": "object", "properties": {"mail": {"type": "string"}, "boss": {"$ref": "#/$defs/person"}}}},
}


def found(schema: dict[str, Any] = SCHEMA, **http: Any) -> list[str]:
    target = Target.model_validate({"name": "only", "http": {"app": "app", "path": "/api/x", **http}})
    return list(problems(schema, [target]))


@pytest.mark.parametrize("pointer", ["/name", "/tags", "/tags/0", "/owner/mail", "/owner/boss/boss/mail", "/more", "/any", "/any/thing"])
def test_a_field_of_the_schema_may_be_named(pointer: str):
    assert found(query={"q": pointer}) == []


@pytest.mark.parametrize("pointer", ["/nam", "/owner/male", "/tags/x", "/name/first"])
def test_a_field_that_the_schema_lacks_is_a_problem_with_its_place(pointer: str):
    (problem,) = found(query={"q": pointer})
    assert problem.startswith(f"spec.targets.0.http.query.q: {pointer} is not a field of the input schema")


def test_the_nearest_field_is_suggested():
    assert found(query={"q": "/nam"})[0].endswith("did you mean /name?")


def test_a_schema_that_says_nothing_allows_everything():
    assert found({}, query={"q": "/whatever"}) == []


def test_a_place_takes_only_what_fits_into_it():
    assert "is an object" in found(query={"q": "/owner"})[0]
    assert "is an array" in found(path="/api/{t}", parameters={"t": "/tags"})[0]
    assert "must be an object" in found(body="/tags", contentType="application/x-www-form-urlencoded")[0]
    assert "must be a text" in found(body="/owner", contentType="text/plain")[0]
    assert "the input is none" in found({"type": "array"}, contentType="application/x-www-form-urlencoded")[0]


def test_a_secret_never_goes_into_an_address_unless_that_is_wanted():
    assert "/secret is writeOnly" in found(query={"q": "/secret"})[0]
    assert "/secret is writeOnly" in found(path="/api/{s}", parameters={"s": "/secret"})[0]
    assert found(query={"q": "/secret"}, allowSecretInUrl=True) == []
    assert found(headers={"X-Secret": "/secret"}, body="/secret") == []


def test_a_schema_that_refers_to_itself_ends():
    endless = {"allOf": [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"$ref": "#/allOf/0"}]}]}
    assert len(found(endless, query={"q": "/a/b/c"})) == 1
