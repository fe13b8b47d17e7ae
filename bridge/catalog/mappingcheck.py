"""Checks the mappings of a catalogue against the input schema: every field that a mapping names must exist in the schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from bridge.catalog.mapping import HttpRequestMapping, sources
from bridge.redaction import secret_paths
from bridge.schemas.subschemas import References

_IN_URL = {"parameters", "query"}
_SAME_PLACE = ("allOf", "anyOf", "oneOf")
_SAME_PLACE_ONE = ("then", "else")
_MOST_NODES = 1000  #: of the schema that are looked at for one pointer: a schema may refer to itself


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def http(self) -> HttpRequestMapping | None: ...


def problems(schema: Mapping[str, Any], targets: Sequence[_Named]) -> Iterator[str]:
    """The problems with the mappings of an automation, each with its place in the file."""
    for number, target in enumerate(targets):
        if target.http is not None:
            for place, kind, pointer in sources(target.http):
                for sentence in _wrong(schema, target.http, kind, pointer):
                    yield f"spec.targets.{number}.http.{place}: {sentence}"
            if (
                target.http.form == "form"
                and target.http.body in (None, "input")
                and _only(_fields(schema, ""), "array", "string", "number", "integer", "boolean")
            ):
                yield f"spec.targets.{number}.http.contentType: a form is made of an object, and the input is none"


def _wrong(schema: Mapping[str, Any], mapping: HttpRequestMapping, kind: str, pointer: str) -> Iterator[str]:
    found = _fields(schema, pointer)
    if not found:
        near = difflib.get_close_matches(pointer, _known(schema), 1)
        yield f"{pointer} is not a field of the input schema" + (
            f"; did you mean {near[0]}?" if near else "; add it there, or correct the pointer"
        )
        return
    if kind != "body" and _only(found, "object"):
        yield f"{pointer} is an object, which cannot be sent in {kind}; name one of its fields"
    if kind == "parameters" and _only(found, "array"):
        yield f"{pointer} is an array, and a part of the path is one value; name one of its items, such as {pointer}/0"
    if kind == "body" and mapping.form == "form" and _only(found, "array", "string", "number", "integer", "boolean"):
        yield f"{pointer} is sent as a form, so it must be an object"
    if kind == "body" and mapping.form == "text" and _only(found, "object"):
        yield f"{pointer} is sent as text, so it must be a text or a number; name one of its fields"
    if kind in _IN_URL and not mapping.allow_secret_in_url and _is_secret(schema, pointer):
        yield f"{pointer} is writeOnly, and addresses are written into logs; send it in a header or the body, or set allowSecretInUrl: true"


def _is_secret(schema: Mapping[str, Any], pointer: str) -> bool:
    steps = tuple(pointer.split("/")[1:])
    return any(_covers(path, steps) for path in secret_paths(schema))


def _covers(path: Sequence[str], steps: Sequence[str]) -> bool:
    """Whether a secret field is the one that the pointer names, or contains it, or is inside it."""
    if not path or not steps:
        return True
    if path[0] == "**":
        return _covers(path[1:], steps) or _covers(path, steps[1:])
    return (path[0] == "*" or path[0] == steps[0]) and _covers(path[1:], steps[1:])


def _fields(schema: Any, pointer: str) -> list[Any]:
    """The schemas that apply to the field; `True` for one that allows anything. None if the input cannot have the field."""
    nodes: list[Any] = [schema]
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        nodes = [child for node in _alike(nodes, schema) for child in _children(node, key)]
    return _alike(nodes, schema)


def _alike(nodes: Sequence[Any], root: Any) -> list[Any]:
    """The schemas together with all others that apply to the same value: references and combined schemas."""
    found: list[Any] = []
    waiting = list(nodes)
    while waiting and len(found) < _MOST_NODES:
        node = waiting.pop()
        if node is False or any(node is each for each in found if node is not True):
            continue
        found.append(node)
        if isinstance(node, Mapping):
            waiting += [References(root).meant(node[word]) for word in ("$ref", "$dynamicRef") if isinstance(node.get(word), str)]
            waiting += [each for word in _SAME_PLACE for each in node.get(word) or () if isinstance(node.get(word), list)]
            waiting += [node[word] for word in _SAME_PLACE_ONE if word in node]
    return [each for each in found if each is not None]


def _children(node: Any, key: str) -> list[Any]:
    """The part of a schema that applies to the field or item `key` of its value."""
    if not isinstance(node, Mapping):
        return [True] if node is True else []
    if not node:
        return [True]
    found = [node["properties"][key]] if isinstance(node.get("properties"), Mapping) and key in node["properties"] else []
    patterns = node.get("patternProperties")
    if isinstance(patterns, Mapping):
        found += [child for pattern, child in patterns.items() if _matches(pattern, key)]
    if not found and "additionalProperties" in node:
        found.append(node["additionalProperties"])
    if key.isdecimal():
        prefix = node.get("prefixItems")
        inside = isinstance(prefix, list) and int(key) < len(prefix)
        found += [prefix[int(key)]] if inside and isinstance(prefix, list) else [node["items"]] if "items" in node else []
    return [child for child in found if child is not False]


def _matches(pattern: str, key: str) -> bool:
    try:
        return re.search(pattern, key) is not None
    except re.error:
        return True  # another dialect of patterns; the schema itself was checked


def _only(nodes: Sequence[Any], *types: str) -> bool:
    """Whether the schemas allow no other type than these."""
    said = [
        {node["type"]} if isinstance(node["type"], str) else set(node["type"])
        for node in nodes
        if isinstance(node, Mapping) and "type" in node
    ]
    return bool(said) and all(each - {"null"} <= set(types) for each in said)


def _known(schema: Mapping[str, Any]) -> list[str]:
    """The pointers of the top-level fields and of the fields inside them."""
    found: list[str] = []
    for node in _alike([schema], schema):
        for name, child in (node.get("properties") or {}).items() if isinstance(node, Mapping) else ():
            found.append(f"/{name}")
            found += [f"/{name}/{inner}" for inner in (child.get("properties") or {} if isinstance(child, Mapping) else {})]
    return found
