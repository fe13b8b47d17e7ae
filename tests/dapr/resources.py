"""The sets of components that ship, read as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.dapr.sidecar import COMPONENTS

#: Each set as a sidecar is given it: the folders of its resources, the first of which holds its configuration.
SETS = {
    "local": ("local",),
    "local with endpoints": ("local", "local/endpoints"),
    "redis": ("redis",),
    "redis with endpoints": ("redis", "redis/endpoints"),
    "azure with Redis": ("azure", "azure/redis"),
    "azure with Cosmos DB": ("azure", "azure/cosmosdb"),
}
#: What ships for the sidecars of other applications, by the bus it is for.
APPLICATIONS = {
    "requester on redis": ("requester", "requester/redis"),
    "requester on azure": ("requester", "requester/azure"),
    "worker on redis": ("worker/redis",),
    "worker on azure": ("worker/azure",),
    "function app": ("function-app",),
}
#: Sets that stand side by side in one namespace of Kubernetes.
NAMESPACES = {
    "redis": ("redis with endpoints", "requester on redis", "worker on redis", "function app"),
    "azure with Redis": ("azure with Redis", "requester on azure", "worker on azure", "function app"),
    "azure with Cosmos DB": ("azure with Cosmos DB", "requester on azure", "worker on azure", "function app"),
}
FILES = sorted(COMPONENTS.rglob("*.yaml"))

Document: TypeAlias = dict[str, Any]


def folders(name: str) -> list[Path]:
    """The folders of a set."""
    return [COMPONENTS / each for each in {**SETS, **APPLICATIONS}[name]]


def documents(name: str, kind: str = "") -> list[Document]:
    """The resources of that kind in a set, or all."""
    paths = [path for folder in folders(name) for path in sorted(folder.glob("*.yaml"))]
    return [each for path in paths for each in read(path) if kind in ("", each["kind"])]


def read(path: Path) -> Iterator[Document]:
    """The documents of one file."""
    yield from yaml.safe_load_all(path.read_text())


def uncommented(path: Path) -> list[Document]:
    """The documents with the values that stand there as comments."""
    return list(yaml.safe_load_all(re.sub(r"(?m)^  # (- name: |  \w+: )", r"  \1", path.read_text())))
