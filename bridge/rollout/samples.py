"""Values that may fit one schema and not another: limits and values just beyond them, objects with and without each property.

They are tried, not derived, so that none was found proves nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from bridge.schemas import schemaworker
from bridge.schemas.subschemas import References, mapping, nodes

MOST = 400  #: values that are tried
_NAMES = 12  #: properties that are varied
_CHOICES = 6  #: values of one property, or of the items of an array
_DEEP = 4  #: levels of objects and arrays
_LONGEST = 200_000  #: characters of a text
_SHOWN = 80  #: characters of a value in words
_PLAIN: tuple[Any, ...] = ("a", 1, True, None, {}, [], 0, -1, 0.5, "", False, "2026-01-31", "a@example.com", "https://example.com/a")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_LENGTHS = ("minLength", "maxLength")
_COUNTS = ("minItems", "maxItems", "minContains", "maxContains")

Validator = jsonschema_rs.Draft202012Validator


def between(one: Any, two: Any) -> Any:
    """The shortest value found that fits `one` and not `two`; Ellipsis if none was found, which is not a proof."""
    fits, refuses = validator(one), validator(two)
    if fits is None or refuses is None:
        return ...
    tried = itertools.islice(_Samples(one, two).values(one, _DEEP), MOST)
    found = (value for value in tried if fits.is_valid(value) and not refuses.is_valid(value))
    return min(found, key=lambda value: len(json.dumps(value)), default=...)


def shown(value: Any) -> str:
    """A value in words, shortened if it is long."""
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"a text of {len(value):,} characters"
    if isinstance(value, list) and len(value) > 10:
        return f"a list of {len(value):,} values"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def validator(schema: Any) -> Validator | None:
    """The schema as the bridge uses it to validate inputs; None if it cannot be used alone."""
    try:
        return schemaworker.validator(schema if isinstance(schema, Mapping) else {"allOf": [schema]})
    except (ValueError, TypeError, OverflowError, RecursionError, jsonschema_rs.ReferencingError):
        return None


class _Samples:
    """Values made from the contents of two schemas."""

    def __init__(self, one: Any, two: Any) -> None:
        self._root, self._references = one, References(one)
        self._found: dict[tuple[int, int], list[Any]] = {}
        found = list(nodes([one, two]))
        self._scalars = _distinct(itertools.chain(*map(_written, found), *map(_limits, found), _PLAIN))
        self._counts = sorted({count for node in found for key in _COUNTS for count in _around(node.get(key)) if 0 <= count <= 100})
        required = (name for node in found for name in _names(node.get("required")))
        self._names = list(dict.fromkeys([*mapping(mapping(one).get("properties")), *mapping(mapping(two).get("properties")), *required]))

    def values(self, schema: Any, depth: int) -> Iterator[Any]:
        """Values for a part of the first schema; not all of them fit it."""
        yield from self._objects(schema, depth)
        yield from self._scalars
        yield from self._lists(schema, depth)
        for branch in self._branches(schema):
            yield from itertools.islice(self.values(branch, depth - 1), MOST // 4) if depth > 0 else ()

    def _objects(self, schema: Any, depth: int) -> Iterator[dict[str, Any]]:
        properties = self._properties(schema)
        others = self._names if depth == _DEEP else ()
        names = [*properties, *(name for name in others if name not in properties)][:_NAMES]
        if depth <= 0 or not names:
            return
        choices = {name: found for name in names if (found := self._fitting(self._property(schema, name), depth - 1))}
        required = [name for name in _names(mapping(schema).get("required")) if name in choices]
        full = {name: found[0] for name, found in choices.items()}
        known = {name: value for name, value in full.items() if name in properties}
        least = {name: full[name] for name in required}
        yield from (least, known, full)
        for name, found in choices.items():
            yield {**least, name: found[0]}
            yield from ({other: value for other, value in each.items() if other != name} for each in (known, full))
            yield from ({**each, name: value} for value in found[1:] for each in (known, least))
        yield {**known, "x-anything": "a"}

    def _lists(self, schema: Any, depth: int) -> Iterator[list[Any]]:
        items = mapping(self._resolved(schema)).get("items", True)
        found = self._fitting(items, depth - 1) if depth > 0 else []
        yield from ([each] for each in found)
        if found:
            yield from ([found[0]] * 2, found[:2])
            yield from (list(itertools.islice(itertools.cycle(found), count)) for count in self._counts)
            yield from ([found[0]] * count for count in self._counts)

    def _fitting(self, schema: Any, depth: int) -> list[Any]:
        """Some values that fit a part of the first schema, written ones first. Found once for each part and depth."""
        if not isinstance(schema, Mapping):
            return [] if schema is False else list(_PLAIN[:_CHOICES])
        if (key := (id(schema), depth)) not in self._found:
            self._found[key] = self._searched(schema, depth)
        return self._found[key]

    def _searched(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        definitions = {key: self._root[key] for key in ("$defs", "definitions") if isinstance(self._root, Mapping) and key in self._root}
        fits = validator({**definitions, **schema})
        tried = itertools.islice(self.values(schema, depth), MOST // 4)
        return list(itertools.islice((value for value in tried if fits is not None and fits.is_valid(value)), _CHOICES))

    def _property(self, schema: Any, name: str) -> Any:
        found = mapping(self._resolved(schema))
        return mapping(found.get("properties")).get(name, found.get("additionalProperties", True))

    def _properties(self, schema: Any) -> list[str]:
        return list(mapping(mapping(self._resolved(schema)).get("properties")))

    def _branches(self, schema: Any) -> Iterator[Any]:
        found = mapping(self._resolved(schema))
        for keyword in ("anyOf", "oneOf", "allOf"):
            listed = found.get(keyword)
            yield from listed if isinstance(listed, list) else ()

    def _resolved(self, schema: Any) -> Any:
        reference = mapping(schema).get("$ref")
        return self._references.meant(reference) if isinstance(reference, str) else schema


def _written(node: Mapping[str, Any]) -> Iterator[Any]:
    """The values that a schema contains literally."""
    yield from (node[key] for key in ("const", "default") if key in node)
    for key in ("enum", "examples"):
        listed = node.get(key)
        yield from listed if isinstance(listed, list) else ()


def _limits(node: Mapping[str, Any]) -> Iterator[Any]:
    """Numbers and texts at the limits of a schema, and beyond them."""
    for key in _NUMBERS:
        yield from _around(node.get(key))
    yield from ("a" * length for key in _LENGTHS for length in _around(node.get(key)) if 0 <= length <= _LONGEST)


def _around(limit: Any) -> tuple[Any, ...]:
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    return (limit, limit - 1, limit + 1) if is_number else ()


def _names(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once; true is not 1, and 1 is 1.0."""
    return list({json.dumps(value, sort_keys=True, default=str): value for value in values}.values())
