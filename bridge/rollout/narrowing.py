"""Finds where a schema accepts less than another: the keyword, and a value that it refuses from now on.

A schema is the conjunction of its keywords, so everything that fits the old schema fits the new one if it fits each of its keywords.
Keywords that mean something only in combination are compared together. What is proved to be no narrowing is left out. The rest is divided
further where the parts of both schemas correspond, and otherwise reported as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rollout.containment import Contained, ContainmentVerdict, InputSide, compare, refuted
from bridge.schemas.subschemas import mapping

Path = tuple[str | int, ...]

_OBJECT = ("properties", "patternProperties", "additionalProperties")
_ARRAY = ("prefixItems", "items")
_GROUPS = (
    _OBJECT,
    _ARRAY,
    ("if", "then", "else"),
    ("contains", "minContains", "maxContains"),
)
#: Keywords that look at what their neighbours did, so that nothing of such a schema can be looked at by itself.
_TOGETHER = ("unevaluatedProperties", "unevaluatedItems")
#: Keywords because of which a part of a value may have to fit more than the schema of this part.
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "patternProperties", "prefixItems", *_TOGETHER)
#: Keywords that refuse nothing.
_SILENT = frozenset(
    {
        *(
            "title",
            "description",
            "default",
            "deprecated",
            "readOnly",
            "writeOnly",
            "examples",
            "$comment",
            "$schema",
            "$defs",
            "definitions",
        ),
        *("contentMediaType", "contentEncoding", "contentSchema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary"),
    }
)
_MOST = 2_000  #: comparisons of parts


@dataclass(frozen=True)
class Narrowing:
    """A place in the new schema that may accept less. `keyword` is empty if it is the whole schema there.

    `name` is the property concerned. `opened` means that the old schema did not describe the property, and so accepted any value.
    """

    path: Path
    keyword: str
    before: Any
    after: Any
    verdict: ContainmentVerdict
    name: str = ""
    opened: bool = False


def narrowings(before: Any, after: Any) -> list[Narrowing]:
    """Where the schema `after` refuses, or may refuse, what `before` accepts. None if it is proved that it does not."""
    if _same(before, after):
        return []
    one, two = InputSide(before), InputSide(after)
    verdict = refuted(before, after) or compare(one, before, two, after)
    if verdict.contained is Contained.YES:
        return []
    whole = Narrowing((), "", before, after, verdict)
    if not (one.divisible and two.divisible):
        return [whole]
    found = list(_Division(one, two).parts(before, after, ()))
    # Nothing is found where only the inside of the schema itself was left over, as in that of a tree: this is a proof by induction.
    return _with_refutation(found, whole)


def _with_refutation(found: list[Narrowing], whole: Narrowing) -> list[Narrowing]:
    """The narrowings; and the whole where it is refuted and every part of it is only not known."""
    only_unknown = all(each.verdict.contained is Contained.UNKNOWN or each.opened for each in found)
    refuted = whole.verdict.contained is Contained.NO and not any(each.opened for each in found)
    return [*found, whole] if only_unknown and refuted else found


class _Division:
    """Divides two schemas side by side."""

    def __init__(self, before: InputSide, after: InputSide) -> None:
        self._before, self._after = before, after
        self._met: set[tuple[int, int]] = set()
        self._skipped = 0
        self._left = _MOST

    def parts(self, before: Any, after: Any, path: Path) -> Iterator[Narrowing]:
        """The narrowings of one schema, or of what stands for it: nothing if it was met before, as in the schema of a tree."""
        pair = (id(before), id(after))
        if pair in self._met:
            self._skipped += 1
            return
        self._left -= 1
        verdict = self._verdict(before, after)
        if verdict.contained is Contained.YES:
            return
        if isinstance(after, Mapping):
            self._met.add(pair)
        if isinstance(mapping(after).get("$ref"), str) and not set(after) - _SILENT - {"$ref"}:
            place, target = self._after.target(after["$ref"])
            yield from self.parts(self._resolved(before), target, place)
            return
        skipped = self._skipped
        divided = self._left > 0 and isinstance(after, Mapping) and not any(key in after for key in _TOGETHER)
        found = list(self._by_keyword(before, after, path)) if divided else []
        yield from found
        # Where every keyword was looked at and nothing is left over, the whole is proved, too, unless a value says otherwise.
        if not found and self._skipped == skipped and not (divided and verdict.contained is Contained.UNKNOWN):
            yield Narrowing(path, "", before, after, verdict)

    def _by_keyword(self, before: Any, after: Mapping[str, Any], path: Path) -> Iterator[Narrowing]:
        for group in _grouped(after):
            if _unchanged(mapping(self._resolved(before)), after, group[0]):
                continue
            fragment = {key: after[key] for key in group}
            verdict = self._verdict(before, fragment)
            if verdict.contained is Contained.YES:
                continue
            skipped, divided = self._skipped, self._detail(before, fragment, path)
            found = list(divided or ())
            yield from found
            if not found and self._skipped == skipped and (divided is None or verdict.contained is Contained.NO):
                keyword = group[0]
                yield Narrowing((*path, keyword), keyword, mapping(self._resolved(before)).get(keyword, ...), after[keyword], verdict)

    def _detail(self, before: Any, fragment: Mapping[str, Any], path: Path) -> Iterator[Narrowing] | None:
        """A fragment divided further; None if it cannot be."""
        keyword, value = next(iter(fragment.items()))
        if keyword == "required":
            return self._required(before, value, path)
        if keyword == "allOf":
            return self._all_of(before, value, path)
        if keyword == "$ref":
            place, target = self._after.target(value)
            return self.parts(before, target, place)
        resolved = self._resolved(before)
        combined = any(key in fragment for key in ("patternProperties", "prefixItems")) or any(
            key in mapping(resolved) for key in _COMBINING
        )
        if combined or not isinstance(resolved, Mapping):
            return None
        if keyword in _OBJECT:
            return self._properties(resolved, fragment, path)
        return self.parts(resolved.get("items", True), value, (*path, keyword)) if keyword == "items" else None

    def _all_of(self, before: Any, branches: Any, path: Path) -> Iterator[Narrowing]:
        for number, branch in enumerate(branches):
            yield from self.parts(before, branch, (*path, "allOf", number))

    def _required(self, before: Any, names: Any, path: Path) -> Iterator[Narrowing]:
        for name in names:
            verdict = self._verdict(before, {"required": [name]})
            if verdict.contained is not Contained.YES:
                yield Narrowing((*path, "required"), "required", False, True, verdict, name)

    def _properties(self, before: Mapping[str, Any], after: Mapping[str, Any], path: Path) -> Iterator[Narrowing]:
        """Properties by their names: those that are described now, those that are no longer, and all others."""
        had, has = mapping(before.get("properties")), mapping(after.get("properties"))
        others_before, others = before.get("additionalProperties", True), after.get("additionalProperties", True)
        for name, schema in has.items():
            if name not in had and others_before is True:
                verdict = self._verdict(True, schema)
                if verdict.contained is not Contained.YES:
                    yield Narrowing((*path, "properties", name), "properties", True, schema, verdict, name, opened=True)
            else:
                yield from self.parts(had.get(name, others_before), schema, (*path, "properties", name))
        for name in (each for each in had if each not in has and had[each] is not False):
            verdict = self._verdict(had[name], others)
            if verdict.contained is not Contained.YES:
                yield Narrowing((*path, "properties"), "properties", had[name], others, verdict, name)
        yield from self._others(others_before, others, path)

    def _others(self, before: Any, after: Any, path: Path) -> Iterator[Narrowing]:
        verdict = self._verdict(before, after)
        if verdict.contained is Contained.YES:
            return
        if after is False:
            yield Narrowing((*path, "additionalProperties"), "additionalProperties", before, after, verdict)
        else:
            yield from self.parts(before, after, (*path, "additionalProperties"))

    def _verdict(self, before: Any, after: Any) -> ContainmentVerdict:
        return compare(self._before, before, self._after, after)

    def _resolved(self, before: Any) -> Any:
        """The definition that the schema before names, if it does nothing else."""
        reference = mapping(before).get("$ref")
        if isinstance(reference, str) and not set(before) - _SILENT - {"$ref"}:
            return self._before.target(reference)[1]
        return before


def _unchanged(before: Mapping[str, Any], after: Mapping[str, Any], keyword: str) -> bool:
    """Whether the group of the keyword is written alike on both sides, so that it refuses nothing more. A reference may mean another."""
    one, two = ({key: side[key] for key in _group_of(keyword) if key in side} for side in (before, after))
    return _same(one, two) and '"$ref"' not in json.dumps(two)


def _same(one: Any, two: Any) -> bool:
    """Whether both are the same JSON: in Python true is 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


def _group_of(keyword: str) -> tuple[str, ...]:
    return next((each for each in _GROUPS if keyword in each), (keyword,))


def _grouped(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    """The keywords of a schema that can refuse something: those that belong together in one list."""
    seen: set[str] = set(_SILENT)
    for keyword in schema:
        if keyword in seen:
            continue
        group = _group_of(keyword)
        seen.update(group)
        yield [key for key in group if key in schema]
