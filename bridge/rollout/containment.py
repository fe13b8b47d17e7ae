"""Whether everything that fits one schema fits another: proved, refuted by a value or by its form, or not known.

The proof is that of jsonschema-rs. A value that fits the one and not the other is shown to the reader, and stands over any proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jsonschema_rs
from jsonschema_rs.canonical import Containment

from bridge.rollout import samples
from bridge.schemas.subschemas import nodes

_DEFINITIONS = ("$defs", "definitions")
_ELSEWHERE = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef")


class Contained(StrEnum):
    """Whether everything that fits the one schema fits the other, too."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ContainmentVerdict:
    """The answer; with NO, if one was found, a value that the one takes and the other does not."""

    contained: Contained
    example: Any = ...


class InputSide:
    """The schema of one side. Its parts refer to its definitions."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._definitions = {key: root[key] for key in _DEFINITIONS if isinstance(root, Mapping) and key in root}

    @property
    def divisible(self) -> bool:
        """Whether a part means the same by itself: whether every reference names a definition."""
        return all(self._plain(each) for each in nodes(self.root))

    def whole(self, part: Any) -> Any:
        """A part as a schema by itself."""
        return {**self._definitions, **part} if isinstance(part, Mapping) else part

    def target(self, reference: str) -> tuple[tuple[str, str], Any]:
        """The path of the definition that a reference names, and the definition. Raises LookupError if it names none."""
        place, key, name = [*reference.split("/", 2), "", ""][:3]
        name = name.replace("~1", "/").replace("~0", "~")
        if place != "#" or key not in self._definitions:
            raise LookupError(reference)
        return (key, name), self._definitions[key][name]

    def _plain(self, node: Mapping[str, Any]) -> bool:
        if any(isinstance(node.get(key), str) for key in _ELSEWHERE):
            return False
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return True
        try:
            self.target(reference)
        except LookupError:
            return False
        return True


def compare(before: InputSide, part: Any, after: InputSide, other: Any) -> ContainmentVerdict:
    """Whether everything that fits `part` of the schema before fits `other` of the schema after."""
    one, two = before.whole(part), after.whole(other)
    found = samples.between(one, two)
    if found is not ...:
        return ContainmentVerdict(Contained.NO, found)
    try:
        proof = _canonical(two).covers(_canonical(one))
    except (ValueError, RecursionError, jsonschema_rs.ReferencingError):
        return ContainmentVerdict(Contained.UNKNOWN)
    if proof == Containment.YES:
        return ContainmentVerdict(Contained.YES)
    return ContainmentVerdict(Contained.NO if proof == Containment.NO else Contained.UNKNOWN)


def _canonical(schema: Any) -> jsonschema_rs.CanonicalSchema:
    return jsonschema_rs.canonicalize(schema, draft=jsonschema_rs.Draft202012, validate_formats=True, offline=True)
