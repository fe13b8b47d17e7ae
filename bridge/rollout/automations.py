"""Changes for callers of an automation: who may request it, with which input, for how long, and what counts as success.

A run keeps the deadline, rule, readers, masks and targets that it was accepted with, so these changes concern new requests only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge import durations
from bridge.client.answers import AutomationView
from bridge.redaction import secret_paths
from bridge.rollout import inputs, targets
from bridge.rollout.change import ChangedFile, RolloutChange, change

_FILE = ChangedFile.CATALOGUE


def changes(before: Sequence[AutomationView], after: Sequence[AutomationView]) -> Iterator[RolloutChange]:
    """The changes between two catalogues, by automation."""
    had, has = {each["name"]: each for each in before}, {each["name"]: each for each in after}
    for name, old in had.items():
        if name in has:
            yield from _automation(old, has[name])
        else:
            message = "is removed: requests are answered 404 UnknownAutomation; those on a topic become runs that Failed with it"
            yield change("automation-removed", _FILE, name, message)
    yield from (change("automation-added", _FILE, name, "is new") for name in has if name not in had)


def _automation(before: AutomationView, after: AutomationView) -> Iterator[RolloutChange]:
    name = after["name"]
    yield from inputs.changes(name, before["input"], after["input"])
    yield from _secrets(before, after)
    yield from _deadline(before, after)
    yield from _allowed(before, after)
    yield from _completion(before, after)
    yield from targets.changes(before, after)
    if before["description"] != after["description"]:
        yield change("description-changed", _FILE, name, "the description is another", "metadata", "description")


def _secrets(before: AutomationView, after: AutomationView) -> Iterator[RolloutChange]:
    had, has = set(secret_paths(before["input"])), set(secret_paths(after["input"]))
    for place in sorted(had - has):
        message = f"{_pointer(place)} is no longer writeOnly: whoever may read the run sees it in clear"
        yield change("secret-shown", _FILE, after["name"], message, "spec", "input", "properties", *place)
    for place in sorted(has - had):
        message = f"{_pointer(place)} is writeOnly now and masked wherever the input is shown"
        yield change("secret-hidden", _FILE, after["name"], message, "spec", "input", "properties", *place)


def _pointer(place: Sequence[str]) -> str:
    return "".join(f"/{step}" for step in place) or "the whole input"


def _deadline(before: AutomationView, after: AutomationView) -> Iterator[RolloutChange]:
    had, has = durations.parse(before["deadline"]), durations.parse(after["deadline"])
    if had != has:
        kind = "deadline-shorter" if has < had else "deadline-longer"
        message = f"the deadline is {after['deadline']}; it was {before['deadline']}"
        yield change(kind, _FILE, after["name"], message, "spec", "deadline")


def _allowed(before: AutomationView, after: AutomationView) -> Iterator[RolloutChange]:
    name, path = after["name"], ("spec", "allow")
    had, has = before["allow"].get("submit"), after["allow"].get("submit")
    if has is not None and (had is None or set(had) - set(has)):
        yield change("submit-stricter", _FILE, name, f"may be submitted by {_roles(has)}; before by {_roles(had)}", *path, "submit")
    elif had is not None and (has is None or set(has) - set(had)):
        yield change("submit-wider", _FILE, name, f"may be submitted by {_roles(has)}; before by {_roles(had)}", *path, "submit")
    read, reads = set(before["allow"].get("read") or ()), set(after["allow"].get("read") or ())
    if read - reads:
        yield change("read-stricter", _FILE, name, f"runs may no longer be read by {', '.join(sorted(read - reads))}", *path, "read")
    if reads - read:
        yield change("read-wider", _FILE, name, f"runs may be read by {', '.join(sorted(reads - read))}, too", *path, "read")


def _roles(roles: Sequence[str] | None) -> str:
    if roles is None:
        return "any authenticated caller"
    return f"{', '.join(sorted(roles))}" if roles else "admin only"


def _completion(before: AutomationView, after: AutomationView) -> Iterator[RolloutChange]:
    had, has = before["succeedsWhen"], after["succeedsWhen"]
    if had != has:
        alone = len(before["targets"]) == len(after["targets"]) == 1
        message = f"succeedsWhen is {has}; it was {had}" + (", which is the same with one target" if alone else "")
        yield change("completion-reworded" if alone else "completion-changed", _FILE, after["name"], message, "spec", "succeedsWhen")
