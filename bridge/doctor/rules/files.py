"""Files that cannot be used as they are."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.findings import FindingLevel, Hit, rule
from bridge.doctor.project import DoctorProject

_RULES = {
    "not-readable": (
        "A file that is no YAML or JSON.",
        "Dapr, Kubernetes and the bridge leave out what they cannot read, or do not start.",
    ),
    "key-twice": ("A key that stands twice in one mapping.", "Readers of YAML differ in which of the two counts."),
    "catalogue-invalid": ("A catalogue that the bridge refuses.", "The bridge does not start with it."),
    "entities-invalid": ("A list of entities that the bridge refuses.", "The bridge does not start with it."),
    "policies-invalid": (
        "A policy file for functions that the bridge refuses.",
        "The bridge does not start with it; daprd would drop all of it for one bad value.",
    ),
    "kustomization-incomplete": ("A file that a kustomization names and that is not there.", "kustomize ends, and nothing is deployed."),
    "settings-invalid": ("Settings that the bridge refuses.", "The bridge does not start with them."),
}


def _listed(name: str, what: str, why: str) -> None:
    def unreadable(project: DoctorProject) -> Iterator[Hit]:
        return (found for rule_name, found in project.unreadable if rule_name == name)

    unreadable.__doc__ = what
    rule(name, FindingLevel.ERROR, why)(unreadable)


for _name, (_what, _why) in _RULES.items():
    _listed(_name, _what, _why)
