"""Finds the runs in progress that a change concerns: those of the automation, or of all automations that call a function app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.client.configurationview import ConfigurationView
from bridge.rollout import policies
from bridge.rollout.change import ChangedFile, RolloutChange


def concerned(found: Iterable[RolloutChange], before: ConfigurationView, after: ConfigurationView) -> set[str]:
    """The names of automations whose runs in progress are affected by one of the changes."""
    return {name for each in found if each.kind.in_hand for name in _of_change(each, before, after)}


def _of_change(change: RolloutChange, before: ConfigurationView, after: ConfigurationView) -> Iterator[str]:
    if change.file is ChangedFile.CATALOGUE:
        yield change.subject
        return
    usual = _policies("", before, after)
    for automation in before["automations"]:
        apps = policies.apps_of(automation)
        # A policy of no app in particular is that of every app whose own is no other.
        if change.subject in apps or (not change.subject and any(_policies(app, before, after) == usual for app in apps)):
            yield automation["name"]


def _policies(app: str, before: ConfigurationView, after: ConfigurationView) -> tuple[object, object]:
    return policies.policy_of(before, app), policies.policy_of(after, app)
