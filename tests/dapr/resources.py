"""The sets of components that ship, read as YAML."""

from __future__ import annotations

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
FILES = sorted(COMPONENTS.rglob("*.yaml"))

Document: TypeAlias = dict[str, Any]


def folders(name: str) -> list[Path]:
    """The folders of a set."""
    return [COMPONENTS / each for each in SETS[name]]


def documents(name: str, kind: str) -> list[Document]:
    """The resources of that kind in a set."""
    paths = [path for folder in folders(name) for path in sorted(folder.glob("*.yaml"))]
    return [each for path in paths for each in read(path) if each["kind"] == kind]


def read(path: Path) -> Iterator[Document]:
    """The documents of one file."""
    yield from yaml.safe_load_all(path.read_text())
