"""Writes the fields of Kubernetes' and KEDA's kinds, from their own sources: `python -m tools.helm.kinds`. It needs Go, which fetches them.

Kubernetes' are those of the types in Go, of the newest version that helm is built with: fields are hardly ever taken away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.dapr import known
from tools.helm import definitions

TARGET = Path(__file__).parents[2] / "bridge" / "doctor" / "kubernetes.json"
_GROUPS = {
    "core/v1": ("v1", ("Pod", "Service", "ConfigMap", "Secret", "ServiceAccount")),
    "apps/v1": ("apps/v1", ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    "batch/v1": ("batch/v1", ("Job", "CronJob")),
    "autoscaling/v2": ("autoscaling/v2", ("HorizontalPodAutoscaler",)),
    "policy/v1": ("policy/v1", ("PodDisruptionBudget",)),
    "networking/v1": ("networking.k8s.io/v1", ("Ingress", "NetworkPolicy")),
}
_KEDA = ("scaledobjects", "scaledjobs", "triggerauthentications")
_CASE = re.compile(r"^\tcase (.*):$", re.MULTILINE)
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r'^\t(?:(\w+) +)?([*\[\]\w.]+)\s+`json:"([^",]*)', re.MULTILINE)
_ALIAS = re.compile(r"^type (\w+) (string|int32|int64|bool)$", re.MULTILINE)
_PLAIN = {"string": "string", "bool": "boolean", "int": "integer", "int32": "integer", "int64": "integer"}
_TEXTS = {"*": "string"}
#: Types of another module that are more than a value.
_KNOWN: dict[str, Any] = {
    "metav1.LabelSelector": {"matchLabels": _TEXTS, "matchExpressions": [{"key": "string", "operator": "string", "values": ["string"]}]},
    "metav1.ObjectMeta": {
        "name": "string",
        "namespace": "string",
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": ["string"],
        **dict.fromkeys(("generateName", "uid", "resourceVersion", "selfLink", "generation", "creationTimestamp", "deletionTimestamp")),
        **dict.fromkeys(("deletionGracePeriodSeconds", "ownerReferences", "managedFields", "clusterName")),
    },
}


def fields() -> dict[str, Any]:
    """The content of the file: `kinds` as in dapr.json, in which `#Name` stands for an entry of `types`."""
    folder = definitions.fetch(definitions.of_kubernetes("api"))
    core = _Types((folder / "core/v1/types.go").read_text(), None)
    kinds: dict[str, Any] = {}
    for path, (api, names) in _GROUPS.items():
        types = core if path == "core/v1" else _Types((folder / path / "types.go").read_text(), core)
        kinds |= {f"{api} {name}": {key: each for key, each in types.fields(name) if key != "status"} for name in names}
    crds = definitions.fetch(definitions.KEDA)
    kinds |= dict(each for name in _KEDA for each in known.of_definition(crds / f"keda.sh_{name}.yaml"))
    scalers = definitions.fetch(replace(definitions.KEDA, folder="pkg/scaling")) / "scalers_builder.go"
    return {"kinds": kinds, "types": dict(sorted(core.found.items())), "scalers": sorted(_scalers(scalers.read_text()))}


def _scalers(text: str) -> set[str]:
    """The types of triggers among the cases of the function that makes scalers, but for those of KEDA's own tests."""
    return {name for names in _CASE.findall(text) for name in re.findall(r'"([a-z0-9-]+)"', names)} - {"external-mock"}


class _Types:
    """The types of one file, and those of the core, which others name `v1.`. What was met of the core is in `found`."""

    def __init__(self, text: str, core: _Types | None) -> None:
        self.structs = {name: _FIELD.findall(body) for name, body in _STRUCT.findall(text)}
        self.plain = {name: _PLAIN[kind] for name, kind in _ALIAS.findall(text)}
        self.core = core
        self.found: dict[str, Any] = {}

    def of(self, kind: str) -> Any:
        """The shape of a type."""
        if kind.startswith("[]"):
            return None if kind == "[]byte" else [self.of(kind[2:])]
        if kind.startswith("map["):
            return {"*": self.of(kind.partition("]")[2])}
        kind = kind.lstrip("*")
        if self.core is not None and kind.startswith(("v1.", "corev1.")):
            return self.core.of(kind.partition(".")[2])
        if kind in self.structs:
            return self._struct(kind)
        return _PLAIN.get(kind) or self.plain.get(kind) or _KNOWN.get(kind)

    def _struct(self, kind: str) -> Any:
        if self.core is not None:
            return dict(self.fields(kind))
        if kind not in self.found:
            self.found[kind] = {}  # which ends a type that holds itself
            self.found[kind] = dict(self.fields(kind))
        return f"#{kind}"

    def fields(self, kind: str) -> Iterator[tuple[str, Any]]:
        """The fields of a struct, and those of the structs that stand in it without a name of their own."""
        for _, value, key in self.structs[kind]:
            if key:
                yield key, self.of(value)
            elif value.lstrip("*") in self.structs:
                yield from self.fields(value.lstrip("*"))


if __name__ == "__main__":
    TARGET.write_text(json.dumps(fields(), indent=1) + "\n")
