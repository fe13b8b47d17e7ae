"""Compares the running configuration with a new one (`bridge check`): what breaks for callers and for runs in progress.

Both sides have the form of `GET /v1/configuration`, so that a bridge of another version can be one of them. No file is read here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.client.configurationview import ConfigurationView
from bridge.rollout import automations, policies, settings
from bridge.rollout.change import KINDS, ChangedFile, ChangeKind, RolloutChange, Weight
from bridge.rollout.inhand import concerned

__all__ = ["KINDS", "ChangeKind", "ChangedFile", "Compared", "RolloutChange", "Weight", "changes", "concerned"]

_ORDER = [Weight.BREAKS, Weight.UNJUDGED, Weight.NOTE]


@dataclass(frozen=True)
class Compared:
    """The parts that are known on both sides and can be compared."""

    policies: bool = True
    settings: bool = True


def changes(before: ConfigurationView, after: ConfigurationView, compared: Compared = Compared()) -> list[RolloutChange]:
    """All changes, the breaking ones first."""
    found = list(automations.changes(before["automations"], after["automations"]))
    if compared.policies:
        found += policies.changes(before, after)
    if compared.settings:
        found += settings.changes(before["settings"], after["settings"], before["automations"])
    return sorted(found, key=lambda each: _ORDER.index(each.kind.weight))
