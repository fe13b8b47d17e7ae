"""Changes in the targets of an automation. A run keeps the targets that it was accepted with, and still calls them at the old place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.client.answers import AutomationView
from bridge.rollout.change import ChangedFile, RolloutChange, change

_FILE = ChangedFile.CATALOGUE
_KINDS = ("http", "topic", "queue")
#: What is meant where a target says nothing.
_USUAL: Mapping[str, Any] = {
    "method": "POST",
    "concurrency": 20,
    "attempts": 1,
    "follow": "event",
    "completes": "result",
    "errors": "ignore",
    "allowSecretInUrl": False,
}
_PLACE = frozenset({"app", "path", "method", "name"})
_REQUEST = frozenset({"parameters", "query", "headers", "body", "contentType", "allowSecretInUrl"})
_OUTCOME = frozenset({"follow", "completes", "failedWhen", "errors"})


def changes(before: AutomationView, after: AutomationView) -> Iterator[RolloutChange]:
    """The changes between the old and the new targets of an automation."""
    name = after["name"]
    had, has = {each["name"]: each for each in before["targets"]}, {each["name"]: each for each in after["targets"]}
    at = {each["name"]: number for number, each in enumerate(after["targets"])}
    renamed = dict(_renamed(had, has))
    for target, old in had.items():
        if target in has:
            yield from _target(name, old, has[target], at[target])
        elif target in renamed:
            message = f"the target {target} is {renamed[target]} now, at the same place"
            yield change("target-renamed", _FILE, name, message, "spec", "targets", at[renamed[target]], "name")
        else:
            yield change("target-removed", _FILE, name, f"the target {target} is removed ({_place(old)})", "spec", "targets")
    for target in (each for each in has if each not in had and each not in renamed.values()):
        message = f"the target {target} is new ({_place(has[target])})"
        yield change("target-added", _FILE, name, message, "spec", "targets", at[target])
    if (len(had) == 1) != (len(has) == 1):
        shape = "the output of the target" if len(has) == 1 else "{target: output}"
        yield change("output-changed", _FILE, name, f"the output of a run is {shape} now: it has {_number(has)}", "spec", "targets")


def _number(targets: Mapping[str, Any]) -> str:
    return "one target" if len(targets) == 1 else f"{len(targets)} targets"


def _renamed(had: Mapping[str, Any], has: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Removed targets, each with a new one that differs only in its name."""
    new = [each for each in has if each not in had]
    for old in (each for each in had if each not in has):
        same = next((each for each in new if {**has[each], "name": old} == had[old]), None)
        if same is not None:
            new.remove(same)
            yield old, same


def _target(name: str, before: Mapping[str, Any], after: Mapping[str, Any], number: int) -> Iterator[RolloutChange]:
    path, where = ("spec", "targets", number), f"the target {after['name']}"
    (kind_before, had), (kind, has) = _by_kind(before), _by_kind(after)
    moved = kind_before != kind or any(_said(had, field) != _said(has, field) for field in _PLACE)
    if moved:
        yield change("target-moved", _FILE, name, f"{where} is at {_place(after)}; it was at {_place(before)}", *path, kind)
    if kind_before != kind and "http" in (kind_before, kind):
        return
    for field in sorted({*had, *has} - _PLACE):
        if _said(had, field) != _said(has, field):
            yield _field(name, where, (field, _said(had, field), _said(has, field)), (*path, kind, field))


def _field(name: str, where: str, changed: tuple[str, Any, Any], path: tuple[str | int, ...]) -> RolloutChange:
    field, had, has = changed
    message = f"{where}: {field} is {_shown(has)}; it was {_shown(had)}"
    if field in _REQUEST:
        return change("request-changed", _FILE, name, message, *path)
    if field in _OUTCOME:
        return change("outcome-changed", _FILE, name, message, *path)
    if field == "attempts":
        return change("attempts-fewer" if has < had else "attempts-more", _FILE, name, message, *path)
    return change("concurrency-changed" if field == "concurrency" else "unknown-field", _FILE, name, message, *path)


def _by_kind(target: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return next(((kind, target[kind]) for kind in _KINDS if target.get(kind)), ("", {}))


def _said(fields: Mapping[str, Any], field: str) -> Any:
    """The value of a field, or its default: the input for the body of a function call, and the event for that of a message."""
    if field == "body" and field not in fields:
        return "input" if "app" in fields else "event"
    return fields.get(field, _USUAL.get(field))


def _place(target: Mapping[str, Any]) -> str:
    kind, fields = _by_kind(target)
    if kind == "http":
        return f"{_said(fields, 'method')} {fields.get('path')} of {fields.get('app')}"
    return f"the {kind} {fields.get('name')}" if kind else "a place that is not known here"


def _shown(value: Any) -> str:
    text = "not said" if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
