"""A parsed document of a configuration file, which knows where in the text each of its values is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

Key = str | int
Span = tuple[int, int]
"""From one character of the text to before another."""


@dataclass(frozen=True, eq=False)
class ConfigDocument:
    """One document. `number` counts the documents of the file, from 1. A JSON file has no node, so positions are found by searching."""

    file: Path
    text: str
    value: Any
    number: int = 1
    node: yaml.Node | None = None
    is_patch: bool = False  #: a Kustomize patch, which contains only changes to a resource in another file

    @cached_property
    def kind(self) -> str:
        """The field `kind`; empty if there is none."""
        kind = self.get("kind")
        return kind if isinstance(kind, str) else ""

    @cached_property
    def api(self) -> str:
        """The field `apiVersion`; empty if there is none."""
        return str(self.get("apiVersion", default=""))

    @cached_property
    def name(self) -> str:
        """The field `metadata.name`; empty if there is none."""
        return str(self.get("metadata", "name", default=""))

    @cached_property
    def namespace(self) -> str:
        """The field `metadata.namespace`; empty if there is none."""
        return str(self.get("metadata", "namespace", default=""))

    @cached_property
    def scopes(self) -> list[str]:
        """The app ids of the sidecars that may read the resource; an empty list stands for all sidecars."""
        scopes = self.get("scopes", default=[])
        return [str(each) for each in scopes] if isinstance(scopes, list) else []

    def get(self, *path: Key, default: Any = None) -> Any:
        """The value at the path, or the default."""
        value = self.value
        for key in path:
            is_entry = key in value if isinstance(value, dict) else isinstance(value, list) and isinstance(key, int) and key < len(value)
            if not is_entry:
                return default
            value = value[key]
        return value

    def mapping(self, *path: Key) -> Mapping[Any, Any]:
        """The mapping at the path; an empty one if there is none."""
        value = self.get(*path)
        return value if isinstance(value, Mapping) else {}

    def items(self, *path: Key) -> Iterator[tuple[int, Any]]:
        """The entries of the list at the path with their indexes; nothing if there is no list."""
        value = self.get(*path)
        yield from enumerate(value if isinstance(value, list) else ())

    def line(self, *path: Key) -> int:
        """The line, from 1, of the value at the path, or of the longest existing part of the path."""
        if self.node is None:
            return self._searched(path)
        key, value = self._nodes(path)
        return (key or value).start_mark.line + 1

    def key_span(self, *path: Key) -> Span | None:
        """The position of the last key of the path in the text; None if it does not exist."""
        found = self._exact(path)
        return (found[0].start_mark.index, found[0].end_mark.index) if found and found[0] else None

    def value_span(self, *path: Key) -> Span | None:
        """The position of the scalar at the path in the text; None if there is no scalar."""
        found = self._exact(path)
        if found is None or not isinstance(found[1], yaml.ScalarNode) or found[1].style in ("|", ">"):
            return None
        return found[1].start_mark.index, found[1].end_mark.index

    def _exact(self, path: tuple[Key, ...]) -> tuple[yaml.Node | None, yaml.Node] | None:
        key, value, used = self._walked(path)
        return (key, value) if value is not None and used == len(path) else None

    def _nodes(self, path: tuple[Key, ...]) -> tuple[yaml.Node | None, yaml.Node]:
        key, value, _ = self._walked(path)
        assert value is not None  # noqa: S101 - line() asks only where there is a node
        return key, value

    def _walked(self, path: tuple[Key, ...]) -> tuple[yaml.Node | None, yaml.Node | None, int]:
        key, value = None, self.node
        for used, step in enumerate(path):
            child = _child(value, step)
            if child is None:
                return key, value, used
            key, value = child
        return key, value, len(path)

    def _searched(self, path: tuple[Key, ...]) -> int:
        """The line of the first place at which the keys of the path follow one another."""
        at = 0
        for key in path:
            found = re.compile(rf'"{re.escape(str(key))}"\s*:').search(self.text, at) if isinstance(key, str) else None
            at = found.start() if found else at
        return self.text.count("\n", 0, at) + 1


def _child(node: yaml.Node | None, step: Key) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        # What is merged (<<) stands before what it is merged into, and of equal keys the last counts.
        return next(((name, value) for name, value in reversed(node.value) if name.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None
