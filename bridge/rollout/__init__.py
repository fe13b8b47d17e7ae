"""Compares what runs with what is to run (`bridge check`): what breaks for callers and for runs in hand, and what is only worth knowing.

Both sides have the form of `GET /v1/configuration`, so that a bridge of another version can be one of them. Nothing is read here.
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
    """What of both sides is known and is compared."""

    policies: bool = True
    settings: bool = True


def changes(before: ConfigurationView, after: ConfigurationView, compared: Compared = Compared()) -> list[RolloutChange]:
    """What changes, what breaks first."""
    found = list(automations.changes(before["automations"], after["automations"]))
    if compared.policies:
        found += policies.changes(before, after)
    if compared.settings:
        found += settings.changes(before["settings"], after["settings"], before["automations"])
    return sorted(found, key=lambda each: _ORDER.index(each.kind.weight))
