"""Values for Dapr's Helm chart: keys that it does not have, values of another type, and what makes a cluster fragile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.pods import above, quantity
from bridge.doctor.values import PLACEHOLDER, number

_TYPES: dict[str, type] = {"boolean": bool, "integer": int}
_TOLD = {"boolean": "true or false", "integer": "a whole number"}
_POLICIES = ("Fail", "Ignore")
_MOVING = ("latest", "edge", "nightly")

Values = tuple[ConfigDocument, tuple[Key, ...]]


def _values(project: DoctorProject) -> Iterator[Values]:
    """Every document with values of Dapr's chart, and the path below which they stand: the top, or `dapr` for a chart that includes it."""
    parts = [name for name in known.chart() if name.startswith("dapr_")]
    for document in project.documents:
        if document.kind or document.api or not isinstance(document.value, Mapping):
            continue
        for path in ((), ("dapr",)):
            names = [str(each) for each in document.mapping(*path)]
            if any(name in parts or (name.startswith("dapr_") and known.near(name, parts)) for name in names):
                yield document, path


@rule("chart-value-unknown", FindingLevel.ERROR, "Helm ignores the value silently, so the default of the chart applies.")
def chart_value_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A misspelt value of Dapr's Helm chart."""
    for document, path in _values(project):
        yield from _unknown(document, path, known.chart())


def _unknown(document: ConfigDocument, path: tuple[Key, ...], shape: Mapping[str, Any]) -> Iterator[Hit]:
    given = document.mapping(*path)
    for key in given:
        if key in shape:
            if isinstance(shape[key], Mapping):
                yield from _unknown(document, (*path, key), shape[key])
        elif known.near(str(key), [each for each in shape if each not in given]):
            found = hit(document, (*path, key), f"Dapr's chart has no value {'.'.join(map(str, (*path, key)))}.", UNSURE)
            yield misspelt(found, document, (*path, key), shape, is_key=True)


@rule("chart-value-type", FindingLevel.ERROR, "Helm cannot render the chart, or renders manifests that Kubernetes rejects.")
def chart_value_type(project: DoctorProject) -> Iterator[Hit]:
    """A value of Dapr's Helm chart of the wrong type or form, such as a quantity that is none, or a tag that YAML reads as a number."""
    for document, path in _values(project):
        yield from _mistyped(document, path, known.chart())
        tag = document.get(*path, "global", "tag")
        if isinstance(tag, int | float) and not isinstance(tag, bool):
            place = (*path, "global", "tag")
            span = document.value_span(*place)
            text = document.text[slice(*span)] if span else str(tag)
            yield hit(document, place, f"The tag is the number {tag}.", f'Write "{text}", with the whole version.')
        policy = document.get(*path, "dapr_sidecar_injector", "webhookFailurePolicy")
        if isinstance(policy, str) and policy not in _POLICIES and not PLACEHOLDER.search(policy):
            place = (*path, "dapr_sidecar_injector", "webhookFailurePolicy")
            yield misspelt(hit(document, place, f"webhookFailurePolicy is {policy}.", "Write Fail or Ignore."), document, place, _POLICIES)
        for part in document.mapping(*path):
            yield from _resources(document, (*path, str(part), "resources"))


def _mistyped(document: ConfigDocument, path: tuple[Key, ...], shape: Mapping[str, Any]) -> Iterator[Hit]:
    for key, value in document.mapping(*path).items():
        wanted, place = shape.get(key), (*path, key)
        if wanted is None or value is None or (isinstance(value, str) and PLACEHOLDER.search(value)):
            continue
        if isinstance(wanted, Mapping):
            if isinstance(value, Mapping):
                yield from _mistyped(document, place, wanted)
            else:
                names = ", ".join(wanted)
                yield hit(document, place, f"{'.'.join(map(str, place))} must be a mapping.", f"Write it with the keys {names}.")
        elif not isinstance(value, _TYPES[wanted]) or (wanted == "integer" and isinstance(value, bool)):
            yield hit(document, place, f"{'.'.join(map(str, place))} must be {_TOLD[wanted]}.", f"Write {_TOLD[wanted]}.")


def _resources(document: ConfigDocument, path: tuple[Key, ...]) -> Iterator[Hit]:
    for name in ("cpu", "memory"):
        asked, most = (document.get(*path, each, name) for each in ("requests", "limits"))
        for group, value in (("requests", asked), ("limits", most)):
            if value is not None and quantity(value) is None and not PLACEHOLDER.search(str(value)):
                yield hit(document, (*path, group, name), f"{value} is not a quantity.", "Write a quantity such as 100m or 256Mi.")
        yield from above(document, (*path, "requests", name), name, asked, most)


@rule("chart-value-risky", FindingLevel.WARNING, "The control plane is less safe or less available than it looks.")
def chart_value_risky(project: DoctorProject) -> Iterator[Hit]:
    """Values of Dapr's Helm chart that switch off mTLS, ignore a missing injector, use a moving tag, or an even number of replicas."""
    for document, path in _values(project):
        mtls, policy = (*path, "global", "mtls", "enabled"), (*path, "dapr_sidecar_injector", "webhookFailurePolicy")
        tag, replicas = (*path, "global", "tag"), (*path, "global", "ha", "replicaCount")
        if document.get(*mtls) is False:
            yield hit(document, mtls, "mTLS is off, so whoever reaches a sidecar may call it.", "Remove it; mTLS is on by default.")
        if document.get(*policy) == "Ignore":
            told = "While the injector is down, Pods start without a sidecar."
            yield hit(document, policy, told, "Write Fail, with a namespaceSelector.", replacing(document.value_span(*policy), "Fail"))
        if str(document.get(*tag)) in _MOVING:
            yield hit(document, tag, f"The tag {document.get(*tag)} moves to other versions.", "Write a version, such as 1.18.1.")
        count = number(document.get(*replicas))
        if count is not None and count % 2 == 0 and document.get(*path, "global", "ha", "enabled") is True:
            told = f"Of {count} placement services a majority is {count // 2 + 1}: as many may fail as of {count - 1}."
            yield hit(document, replicas, told, "Use 3 or 5 replicas.")
