"""The schemas within a JSON Schema (2020-12, core section 10), and what references within it point to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote

#: Keywords by their content (one schema, a list or a mapping of schemas), and the step into the value that each of them makes.
_ONE = {
    "items": "*",
    "additionalProperties": "*",
    "unevaluatedProperties": "*",
    "unevaluatedItems": "*",
    "contains": "*",
    "if": "",
    "then": "",
    "else": "",
    "not": "",
}
_MANY = {"prefixItems": "*", "allOf": "", "anyOf": "", "oneOf": ""}
_NAMED = {"patternProperties": "*", "dependentSchemas": ""}
#: Keywords whose schemas apply to no part of the value (names of properties, definitions), so they lead to no place in it.
_APART = ("propertyNames",)


def children(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas that apply to a value or its parts, each with the step to the part: a name, `*` for any, nothing for the value itself."""
    yield from mapping(node.get("properties")).items()
    yield from ((step, node[keyword]) for keyword, step in _ONE.items() if keyword in node)
    yield from ((step, child) for keyword, step in _MANY.items() for child in _list(node.get(keyword)))
    yield from ((step, child) for keyword, step in _NAMED.items() for child in mapping(node.get(keyword)).values())


def names(node: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that apply to the names of properties."""
    yield from (node[keyword] for keyword in _APART if keyword in node)


def dialects(schema: Any) -> Iterator[Any]:
    """What `$schema` says in the schema and in every schema within it, definitions included."""
    if isinstance(schema, Mapping):
        if "$schema" in schema:
            yield schema["$schema"]
        inner = [child for _, child in children(schema)]
        inner += [child for keyword in ("$defs", "definitions") for child in mapping(schema.get(keyword)).values()]
        for child in [*inner, *names(schema)]:
            yield from dialects(child)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, or an empty mapping if it is none."""
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class References:
    """Finds what a reference within a schema means: by pointer, by anchor, or by the `$id` of an embedded schema."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def meant(self, reference: str) -> Any:
        """The schema; None if there is none here."""
        place, _, fragment = reference.partition("#")
        root = self._by_id.get(place) if place else self._root
        if fragment and not fragment.startswith("/"):
            return (self._by_anchor if root is self._root else _anchors(root)).get(fragment)
        node: Any = root
        for child in unquote(fragment).split("/")[1:]:
            step = child.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                node = node[int(step)] if step.isdecimal() and len(step) < 10 and int(step) < len(node) else None
            else:
                node = mapping(node).get(step)
        return node

    @cached_property
    def _by_id(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for node in nodes(self._root):
            if isinstance(node.get("$id"), str):
                found.setdefault(node["$id"], node)
        return found

    @cached_property
    def _by_anchor(self) -> Mapping[str, Any]:
        return _anchors(self._root)


def _anchors(root: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for node in nodes(root):
        for name in (node.get("$anchor"), node.get("$dynamicAnchor")):
            if isinstance(name, str):
                found.setdefault(name, node)
    return found


def nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping within a value, the value included, whether it is a schema or not."""
    if isinstance(node, Mapping):
        yield node
    for child in node.values() if isinstance(node, Mapping) else _list(node):
        yield from nodes(child)
