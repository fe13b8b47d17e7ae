"""The schema of an automation's input (JSON Schema 2020-12), and what it may cost to hold an input against it.

A schema is the owner's and an input the caller's, and some pairs of them take longer than anybody waits: definitions that multiply, regular
expressions that go back again and again, and above all the search for words, because every branch of every `anyOf` explains itself. So an
input is judged at once only where that is known to be short. `Validation` has everything else judged in another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jsonschema_rs
from pydantic_core import to_json

from bridge.errors import Violation
from bridge.schemas import schemaworker, subschemas

AT_ONCE = 20_000_000  #: bytes of an input times schemas that may apply to each: about 20 ms
WORDS_AT_ONCE = 5_000  #: the same for the search for words, which costs a thousand times as much
_MANY = 10**12  #: schemas; stands for any number above
_COMBINING = ("anyOf", "oneOf", "not", "if", "contains", "unevaluatedProperties", "unevaluatedItems", "dependentSchemas", "propertyNames")
_TWICE = 3  #: how often the schemas below such a keyword are looked at when words are searched for
_LINEAR = jsonschema_rs.RegexOptions(size_limit=2**18)


class CompiledSchema:
    """A compiled schema. Raises jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError or ValueError if it cannot be used."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        try:
            self._validator = schemaworker.validator(schema, _LINEAR)
            self._is_linear = True
        except jsonschema_rs.ValidationError:
            self._validator = schemaworker.validator(schema)
            self._is_linear = False

    @cached_property
    def json(self) -> bytes:
        """The schema as JSON."""
        return to_json(self._schema)

    @cached_property
    def _cost(self) -> _Cost:
        return _Cost(self._schema)

    def judges_at_once(self, size: int) -> bool:
        """Whether `fits` is short for every input of `size` bytes of JSON."""
        return self._is_linear and size * self._cost.schemas <= AT_ONCE

    def explains_at_once(self, size: int) -> bool:
        """Whether `violations` is short for every input of `size` bytes of JSON."""
        return self._is_linear and not self._cost.refers_to_itself and size * self._cost.words <= WORDS_AT_ONCE

    def fits(self, value: Any) -> bool:
        """Whether the input fits the schema. Takes as long as it takes."""
        return self._validator.is_valid(value)

    def violations(self, value: Any, most: int) -> list[Violation]:
        """The first `most` violations: where, and of which rule. Takes as long as it takes."""
        if self._validator.is_valid(value):
            return []
        return [as_violation(each) for each in schemaworker.violations(self._validator, value, most)]


def as_violation(found: Mapping[str, str]) -> Violation:
    """A violation as the schema worker tells it."""
    return Violation(pointer=found["pointer"], rule=found["rule"], detail=found["detail"])


class _Cost:
    """How many schemas apply to one part of an input at the most, with every reference followed. Properties of other names are other parts.

    A schema that refers to itself in one place, such as that of a tree, visits every part of an input once. With more places, or with
    references that are not resolved here, the number is not known and counts as very large.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._references = subschemas.References(schema)
        self._known: dict[int, tuple[int, int]] = {}
        self._above: set[int] = set()
        self._circular: set[int] = set()
        self._circles = 0
        self.schemas = self.words = _MANY
        try:
            self.schemas, self.words = self._count(schema)
        except RecursionError:  # a chain of a thousand references
            self._circles = 2
        self.refers_to_itself = self._circles > 0
        if self._circles > 1:
            self.schemas = _MANY

    def _count(self, node: Any) -> tuple[int, int]:
        """Schemas that apply below a node and at it: for a judgement, and for a search for words."""
        if not isinstance(node, Mapping):
            return 1, 1
        number = id(node)
        if number in self._above or number in self._circular:
            self._circles += 1
            return 1, 1
        if number not in self._known:
            self._above.add(number)
            before = self._circles
            self._known[number] = self._own(node)
            self._above.discard(number)
            if self._circles > before:
                self._circular.add(number)
        return self._known[number]

    def _own(self, node: Mapping[str, Any]) -> tuple[int, int]:
        found = words = 1 + _weight(node)
        largest = largest_words = 0
        everywhere = [("", each) for each in (*subschemas.names(node), *self._referred(node))]
        for step, child in [*subschemas.children(node), *everywhere]:
            more, more_words = self._count(child)
            if step in ("", "*"):
                found, words = found + more, words + more_words
            else:
                largest, largest_words = max(largest, more), max(largest_words, more_words)
        factor = _TWICE if any(keyword in node for keyword in _COMBINING) else 1
        return min(found + largest, _MANY), min((words + largest_words) * factor, _MANY)

    def _referred(self, node: Mapping[str, Any]) -> list[Any]:
        found = []
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            reference = node.get(keyword)
            if isinstance(reference, str):
                meant = self._references.meant(reference) if keyword == "$ref" else None
                self._circles += 2 * (meant is None)
                found.append(meant)
        return found


def _weight(node: Mapping[str, Any]) -> int:
    """What the keywords of one schema cost beyond its own visit."""
    if node.get("format") == "regex":
        return _MANY  # each value is a program that must be compiled
    listed = node.get("enum")
    return (
        20 * ("format" in node) + 5 * ("pattern" in node or "patternProperties" in node) + (len(listed) if isinstance(listed, list) else 0)
    )
