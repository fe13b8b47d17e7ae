"""Converts `key=value` arguments to the types that the input schema asks for.

If there is no schema, or it does not restrict the type, the argument is parsed as JSON, and otherwise taken as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json, to_json

Types = frozenset[str]

ANY: Types = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_DEEPEST = 40  #: schemas within schemas that are followed
_EXAMPLES = {
    "string": "text",
    "integer": "5",
    "number": "0.5",
    "boolean": "true",
    "array": """'["a", "b"]'""",
    "object": """'{"a": 1}'""",
    "null": "null",
}
_ARTICLES = {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}


def value(key: str, text: str, types: Types, *, from_file: bool = False) -> Any:
    """The value of an argument for which one of these types is allowed. Raises ValueError with what to write instead.

    If both numbers and text are allowed, a number that JSON would write differently is text: 1.10 is not 1.1. The content of a file is text
    wherever text is allowed.
    """
    if "string" in types and from_file:
        return text
    known, parsed = _parsed(text.strip() if from_file else text, types)
    if known and _is_one_of(parsed, types):
        keeps = not isinstance(parsed, int | float) or types == ANY or to_json(parsed).decode() == text
        if keeps or "string" not in types:
            return int(parsed) if isinstance(parsed, float) and "number" not in types else parsed
    if "string" in types:
        return text
    wanted = sorted(types - {"integer"} if "number" in types else types)
    kinds = " or ".join(_ARTICLES.get(each, f"a {each}") for each in wanted)
    where = "the file" if from_file else repr(text[:60])
    raise ValueError(f"{key} must be {kinds}, and {where} is not; write it like {key}={_EXAMPLES[wanted[0]]}.")


def _parsed(text: str, types: Types) -> tuple[bool, Any]:
    """Whether the text is a JSON value, and the value. `True`, which PowerShell writes, counts where only a boolean is allowed."""
    if "boolean" in types and "string" not in types and text.lower() in ("true", "false"):
        text = text.lower()
    try:
        return True, from_json(text, allow_inf_nan=False)
    except ValueError:
        return False, None


def _is_one_of(parsed: Any, types: Types) -> bool:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object", type(None): "null"}
    kind = kinds[type(parsed)]
    return kind in types or (kind == "number" and "integer" in types and parsed.is_integer())


class InputSchema:
    """The types that a JSON Schema 2020-12 allows for the fields of an input."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._known: dict[tuple[int, str | None], Types] = {}

    def types(self, key: str) -> Types:
        """The types that a field may have: all types, if the schema does not restrict them or cannot be followed."""
        return self._types(self._root, key, 0) or ANY

    def _types(self, node: Any, key: str | None, depth: int) -> Types:
        """The types that a schema allows for the value itself or, with `key`, for that field of an object."""
        if not isinstance(node, Mapping) or depth > _DEEPEST:
            return ANY
        place = (id(node), key)
        if place not in self._known:
            self._known[place] = ANY  # while it is followed: a schema that refers to itself adds nothing
            self._known[place] = self._combined(node, key, depth + 1)
        return self._known[place]

    def _combined(self, node: Mapping[str, Any], key: str | None, depth: int) -> Types:
        types = _own(node) if key is None else self._at_key(node, key, depth)
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(node.get(keyword), str):
                types &= self._types(self._meant(node[keyword]), key, depth)
        for each in _list(node.get("allOf")):
            types &= self._types(each, key, depth)
        for keyword in ("anyOf", "oneOf"):
            if choices := _list(node.get(keyword)):
                types &= frozenset().union(*(self._types(each, key, depth) for each in choices))
        return types

    def _at_key(self, node: Mapping[str, Any], key: str, depth: int) -> Types:
        properties, patterns = node.get("properties"), node.get("patternProperties")
        if isinstance(properties, Mapping) and key in properties:
            return self._types(properties[key], None, depth)
        for pattern, child in patterns.items() if isinstance(patterns, Mapping) else ():
            if _matches(pattern, key):
                return self._types(child, None, depth)
        return self._types(node.get("additionalProperties"), None, depth)

    def _meant(self, reference: str) -> Any:
        """The schema that a local reference leads to; None for any other reference."""
        pointer = unquote(reference.removeprefix("#"))
        if not reference.startswith("#"):
            return None
        if pointer and not pointer.startswith("/"):
            definitions = self._root.get("$defs")
            found = definitions.values() if isinstance(definitions, Mapping) else ()
            return next((each for each in found if isinstance(each, Mapping) and pointer in _anchors(each)), None)
        node: Any = self._root
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(name)
            else:
                node = node[int(name)] if isinstance(node, list) and name.isdecimal() and int(name) < len(node) else None
        return node


def _own(node: Mapping[str, Any]) -> Types:
    """The types that a schema allows directly, without following references."""
    named = node.get("type")
    types = ANY if named is None else frozenset([named] if isinstance(named, str) else filter(_is_text, _list(named)))
    if "number" in types:
        types |= {"integer"}
    allowed = [node["const"]] if "const" in node else _list(node.get("enum"))
    return types & _types_of(allowed) if allowed else types


def _types_of(values: Iterable[Any]) -> Types:
    return frozenset(each for each in ANY for one in values if _is_one_of(one, frozenset({each})))


def _anchors(node: Mapping[str, Any]) -> tuple[Any, Any]:
    return node.get("$anchor"), node.get("$dynamicAnchor")


def _matches(pattern: str, key: str) -> bool:
    try:
        return re.search(pattern, key) is not None
    except re.error:  # the schema may use what only other engines know
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
