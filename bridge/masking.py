"""Hides what a schema calls `writeOnly` (JSON Schema validation 2020-12, section 9.4): in the input, and where a function says it again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from pydantic_core import to_json

MASK = "***"
SHORTEST = 6  #: characters of a secret text that is looked for; a shorter one stands in too many other words
MOST = 100  #: secret texts that are looked for; of one with several lines each line counts
Path = tuple[str, ...]


def secret_paths(schema: Mapping[str, Any]) -> tuple[Path, ...]:
    """The places where `schema` says `writeOnly: true`, through local references too.

    `*` stands for every item or key, `**` for any way down, which is how a schema that refers to itself goes.
    """
    return tuple(dict.fromkeys(_walk(schema, schema, (), frozenset())))


#: Keywords by what they hold: one schema, a list of them, or a mapping to them; and the step they take into the value.
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


def _walk(node: Any, root: Any, path: Path, followed: frozenset[str], *, again: bool = False) -> Iterator[Path]:
    if not isinstance(node, Mapping):
        return
    if node.get("writeOnly") is True:
        yield path
        return
    for keyword in ("$ref", "$dynamicRef"):
        reference = node.get(keyword)
        if not isinstance(reference, str):
            continue
        meant = _resolve(reference, root)
        if reference not in followed:
            yield from _walk(meant, root, path, followed | {reference}, again=again)
        elif not again:
            yield from ((*path, "**", *rest) for rest in _walk(meant, root, (), frozenset({reference}), again=True))
    for step, part in _parts(node):
        yield from _walk(part, root, (*path, step) if step else path, followed, again=again)


def _parts(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from _mapping(node.get("properties")).items()
    yield from ((step, node.get(keyword)) for keyword, step in _ONE.items())
    yield from ((step, part) for keyword, step in _MANY.items() for part in node.get(keyword) or ())
    yield from ((step, part) for keyword, step in _NAMED.items() for part in _mapping(node.get(keyword)).values())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _resolve(reference: str, root: Any) -> Any:
    """What a reference within the same document means: a pointer, an anchor, or the `$id` of an embedded schema."""
    place, _, fragment = reference.partition("#")
    if place:
        root = next((node for node in _nodes(root) if node.get("$id") == place), None)
    if fragment and not fragment.startswith("/"):
        return next((node for node in _nodes(root) if fragment in (node.get("$anchor"), node.get("$dynamicAnchor"))), None)
    node: Any = root
    for part in unquote(fragment).split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(step)] if step.isdecimal() and int(step) < len(node) else None
        else:
            node = _mapping(node).get(step)
    return node


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
    for part in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _nodes(part)


def masked(value: Any, paths: tuple[Path, ...]) -> Any:
    """A copy of `value` with every secret place replaced by `***`; `value` itself if there is none."""
    for path in paths:
        value = _hide(value, path)
    return value


def _hide(value: Any, path: Path) -> Any:
    if not path:
        return MASK
    step, rest = path[0], path[1:]
    if step == "**":
        value, rest, step = _hide(value, rest), path, "*"
    if isinstance(value, Mapping):
        return {key: _hide(part, rest) if step in ("*", key) else part for key, part in value.items()}
    if isinstance(value, list) and step == "*":
        return [_hide(part, rest) for part in value]
    return value


def texts(value: Any, paths: tuple[Path, ...]) -> tuple[str, ...]:
    """The texts at the secret places of an input, longest first; of one with several lines each line. Numbers are none."""
    found = (line.strip() for path in paths for text in _texts(value, path) for line in text.splitlines())
    known = [line for line in dict.fromkeys(found) if len(line) >= SHORTEST]
    return tuple(sorted(known[:MOST], key=len, reverse=True))


def _texts(value: Any, path: Path) -> Iterator[str]:
    """The texts below a place, as `_hide` finds the place."""
    if not path:
        yield from _all_texts(value)
        return
    step, rest = path[0], path[1:]
    if step == "**":
        yield from _texts(value, rest)
        rest, step = path, "*"
    if isinstance(value, Mapping):
        parts = [part for key, part in value.items() if step in ("*", key)]
    else:
        parts = value if isinstance(value, list) and step == "*" else []
    for part in parts:
        yield from _texts(part, rest)


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _all_texts(part)


def unsaid(value: Any, secrets: Collection[str]) -> Any:
    """`value` with `***` in place of every secret text, plain or as JSON writes it; `value` itself if there is none."""
    if not secrets:
        return value
    written = to_json(value).decode()
    said = [form for secret in secrets for form in _forms(secret) if _escaped(form) in written]
    return _without(value, said) if said else value


def _forms(secret: str) -> Iterator[str]:
    yield from dict.fromkeys((secret, " ".join(secret.split()), _escaped(secret), json.dumps(secret)[1:-1]))


def _escaped(text: str) -> str:
    return to_json(text).decode()[1:-1]


def _without(value: Any, said: list[str]) -> Any:
    if isinstance(value, str):
        for form in said:
            value = value.replace(form, MASK)
        return value
    if isinstance(value, Mapping):
        return {_without(key, said): _without(part, said) for key, part in value.items()}
    return [_without(part, said) for part in value] if isinstance(value, list) else value
