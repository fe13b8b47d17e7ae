"""Changes in the input of an automation: which inputs are refused from now on, and which are accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bridge.rollout import samples
from bridge.rollout.change import ChangedFile, RolloutChange, change
from bridge.rollout.containment import Contained
from bridge.rollout.narrowing import Narrowing, narrowings

_LISTED = 5  #: changes of one kind in one schema that are told


def changes(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RolloutChange]:
    """The changes between two input schemas of an automation."""
    narrower = narrowings(before, after)
    for kind in dict.fromkeys(map(_kind, narrower)):
        yield from _listed(kind, name, [each for each in narrower if _kind(each) == kind], _narrower)
    told = {each.path for each in narrower}
    wider = [each for each in narrowings(after, before) if each.path not in told and each.verdict.contained is Contained.NO]
    yield from _listed("input-widened", name, wider, _wider)


def _listed(kind: str, name: str, found: Sequence[Narrowing], told: Callable[[Narrowing], str]) -> Iterator[RolloutChange]:
    """The first places, and with the last of them how many more there are."""
    for number, each in enumerate(found[:_LISTED], 1):
        more = f"; and {len(found) - _LISTED} more" if number == _LISTED < len(found) else ""
        yield change(kind, ChangedFile.CATALOGUE, name, told(each) + more, "spec", "input", *each.path)


def _kind(found: Narrowing) -> str:
    if found.opened:
        return "property-described"
    return "input-narrowed" if found.verdict.contained is Contained.NO else "input-unjudged"


def _narrower(found: Narrowing) -> str:
    text = _said(found, ("is required now", "is described now", "is no longer accepted", "other properties are no longer accepted"))
    if found.verdict.contained is not Contained.NO:
        return f"{text}; whether everything that was taken still is cannot be judged"
    return f"{text}; refused from now on: {samples.shown(found.verdict.example)}" if found.verdict.example is not ... else text


def _wider(found: Narrowing) -> str:
    """A place where the new schema accepts what the old one refuses, in words. In `found` the two have changed places."""
    turned = Narrowing(found.path, found.keyword, found.after, found.before, found.verdict, found.name, found.opened)
    text = _said(turned, ("is no longer required", "is no longer described", "is taken now", "other properties are taken now"))
    return f"{text}; taken from now on: {samples.shown(found.verdict.example)}" if found.verdict.example is not ... else text


def _said(found: Narrowing, words: Sequence[str]) -> str:
    required, described, taken, others = words
    where = ".".join(map(str, ("input", *found.path)))
    if found.keyword == "required":
        return f"{where}: {found.name} {required}"
    if found.opened:
        return f"{where}: {found.name} {described}"
    if found.keyword == "properties" and found.name:
        return f"{where}: {found.name} {taken}"
    if found.keyword == "additionalProperties":
        return f"{where}: {others}"
    if not found.keyword:
        return f"{where}: takes other values than before"
    return f"{where}: is {_shown(found.after)}; it was {_shown(found.before)}"


def _shown(value: Any) -> str:
    return "not there" if value is ... else samples.shown(value)
