"""Decides whether everything that fits one schema fits another: proved, refuted by a value or by its form, or unknown.

The proof is that of jsonschema-rs. A value that fits the one and not the other is shown to the user, and overrules a proof.
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
    """Whether everything that fits the one schema also fits the other."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ContainmentVerdict:
    """The answer. With NO, it has a value that only the first schema accepts, if one was found."""

    contained: Contained
    example: Any = ...


class InputSide:
    """The input schema of one side, whose parts refer to its definitions."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._definitions = {key: root[key] for key in _DEFINITIONS if isinstance(root, Mapping) and key in root}

    @property
    def divisible(self) -> bool:
        """Whether a part means the same alone, because every reference names a definition."""
        return all(self._plain(each) for each in nodes(self.root))

    def whole(self, part: Any) -> Any:
        """A part as a complete schema."""
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
    if (proof := _proof(one, two)) is Contained.YES:
        return ContainmentVerdict(proof)
    found = samples.between(one, two)
    return ContainmentVerdict(proof) if found is ... else ContainmentVerdict(Contained.NO, found)


def refuted(before: Any, after: Any) -> ContainmentVerdict | None:
    """The verdict if a value was found that fits the one and not the other, whatever is proved; None if none was found."""
    found = samples.between(before, after)
    return None if found is ... else ContainmentVerdict(Contained.NO, found)


def _proof(one: Any, two: Any) -> Contained:
    try:
        proof = _canonical(two).covers(_canonical(one))
    except (ValueError, RecursionError, jsonschema_rs.ReferencingError):
        return Contained.UNKNOWN
    if proof == Containment.YES:
        return Contained.YES
    return Contained.NO if proof == Containment.NO else Contained.UNKNOWN


def _canonical(schema: Any) -> jsonschema_rs.CanonicalSchema:
    return jsonschema_rs.canonicalize(schema, draft=jsonschema_rs.Draft202012, validate_formats=True, offline=True)
