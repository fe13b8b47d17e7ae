"""Rules about files that cannot be read, or that the bridge rejects."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.findings import FindingLevel, Hit, rule
from bridge.doctor.project import DoctorProject

_RULES = {
    "not-readable": (
        "A file that is not valid YAML or JSON.",
        "Dapr, Kubernetes and the bridge skip what they cannot read, or do not start.",
    ),
    "key-twice": ("A key that appears twice in one mapping.", "YAML parsers differ in which of the two values they use."),
    "catalogue-invalid": ("A catalogue that the bridge rejects.", "The bridge does not start with this catalogue."),
    "entities-invalid": ("A list of Service Bus entities that the bridge rejects.", "The bridge does not start with this list."),
    "policies-invalid": (
        "A policy file for functions that the bridge rejects.",
        "The bridge does not start with this file. daprd would ignore the whole file because of one invalid value.",
    ),
    "kustomization-incomplete": (
        "A file that a kustomization refers to and that does not exist.",
        "kustomize fails, so nothing is deployed.",
    ),
    "settings-invalid": ("Settings that the bridge rejects.", "The bridge does not start with these settings."),
}


def _listed(name: str, what: str, why: str) -> None:
    def unreadable(project: DoctorProject) -> Iterator[Hit]:
        return (found for rule_name, found in project.unreadable if rule_name == name)

    unreadable.__doc__ = what
    rule(name, FindingLevel.ERROR, why)(unreadable)


for _name, (_what, _why) in _RULES.items():
    _listed(_name, _what, _why)
