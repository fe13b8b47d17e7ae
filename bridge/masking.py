"""Hides what a schema calls `writeOnly` (JSON Schema validation 2020-12, section 9.4) wherever an input is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MASK = "***"
Path = tuple[str, ...]


def secret_paths(schema: Mapping[str, Any]) -> tuple[Path, ...]:
    """The places where `schema` says `writeOnly: true`, through local references too; `*` stands for every item or key."""
    return tuple(dict.fromkeys(_walk(schema, schema, (), frozenset())))


#: Keywords by what they hold: one schema, a list of them, or a mapping to them; and the step they take into the value.
_ONE = {
    "items": "*",
    "additionalProperties": "*",
    "unevaluatedProperties": "*",
    "contains": "*",
    "if": "",
    "then": "",
    "else": "",
    "not": "",
}
_MANY = {"prefixItems": "*", "allOf": "", "anyOf": "", "oneOf": ""}
_NAMED = {"patternProperties": "*", "dependentSchemas": ""}


def _walk(node: Any, root: Mapping[str, Any], path: Path, followed: frozenset[str]) -> Iterator[Path]:
    if not isinstance(node, Mapping):
        return
    if node.get("writeOnly") is True:
        yield path
        return
    reference = node.get("$ref")
    if isinstance(reference, str) and reference not in followed:
        yield from _walk(_resolve(reference, root), root, path, followed | {reference})
    for step, part in _parts(node):
        yield from _walk(part, root, (*path, step) if step else path, followed)


def _parts(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from _mapping(node.get("properties")).items()
    yield from ((step, node.get(keyword)) for keyword, step in _ONE.items())
    yield from ((step, part) for keyword, step in _MANY.items() for part in node.get(keyword) or ())
    yield from ((step, part) for keyword, step in _NAMED.items() for part in _mapping(node.get(keyword)).values())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    if not reference.startswith("#"):
        return None
    node: Any = root
    for part in reference[1:].split("/")[1:]:
        node = _mapping(node).get(part.replace("~1", "/").replace("~0", "~"))
    return node


def masked(value: Any, paths: tuple[Path, ...]) -> Any:
    """A copy of `value` with every secret place replaced by `***`; `value` itself if there is none."""
    for path in paths:
        value = _hide(value, path)
    return value


def _hide(value: Any, path: Path) -> Any:
    if not path:
        return MASK
    step, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {key: _hide(part, rest) if step in ("*", key) else part for key, part in value.items()}
    if isinstance(value, list) and step == "*":
        return [_hide(part, rest) for part in value]
    return value
