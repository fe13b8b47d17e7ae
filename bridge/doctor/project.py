"""Everything that was read, and which resources belong together.

Dapr reads a folder of resources as one set. A resource belongs together with those in its own folder and in the folders above and below it.
Folders beside each other are different sets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from bridge.catalog import Catalog
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import Hit
from bridge.entities import Entities
from bridge.resilience import Policies

T = TypeVar("T")


@dataclass
class DoctorProject:
    """The documents, the bridge's own files by their paths, and findings for what could not be read (`unreadable`)."""

    documents: list[ConfigDocument] = field(default_factory=list)
    catalogues: dict[Path, Catalog] = field(default_factory=dict)
    entities: dict[Path, Entities] = field(default_factory=dict)
    policies: dict[Path, Policies] = field(default_factory=dict)
    certificates: dict[Path, str] = field(default_factory=dict)  #: the text of each PEM file
    sidecar: Mapping[str, Any] | None = None  #: what the metadata API of a running sidecar answered
    unreadable: list[tuple[str, Hit]] = field(default_factory=list)  #: each with the name of its rule
    skipped: list[str] = field(default_factory=list)  #: files that were skipped, each with the reason
    _one_deployment: bool | None = field(default=None, init=False, repr=False)

    def of_kind(self, *kinds: str, dapr: bool = False) -> Iterator[ConfigDocument]:
        """The documents of these kinds. With `dapr` only those whose API group is Dapr's."""
        return (each for each in self.documents if each.kind in kinds and (not dapr or each.api.startswith("dapr.io/")))

    def configurations(self) -> Iterator[ConfigDocument]:
        """Dapr's Configurations."""
        return self.of_kind("Configuration", dapr=True)

    def related(self, document: ConfigDocument, others: Iterable[ConfigDocument]) -> list[ConfigDocument]:
        """The other documents that belong to this one: those beside it. If there are none and everything is one deployment, all of them."""
        listed = list(others)
        beside = [each for each in listed if together(each.file, document.file)]
        return beside or (listed if self._is_one_deployment() else [])

    def _is_one_deployment(self) -> bool:
        """Whether Dapr's resources are one set of folders and all other documents are one, such as one folder of each."""
        if self._one_deployment is None:
            dapr = {each.file.parent for each in self.documents if each.api.startswith("dapr.io/")}
            others = {each.file.parent for each in self.documents if each.kind and each.api and each.file.parent not in dapr}
            self._one_deployment = _one_set(dapr) and _one_set(others)
        return self._one_deployment

    def of_file(self, path: Path) -> list[ConfigDocument]:
        """The documents of one file."""
        return [each for each in self.documents if each.file == path]

    def named(self, name: str) -> list[ConfigDocument]:
        """The documents of all files of this name, such as host.json."""
        return [each for each in self.documents if each.file.name == name]

    @property
    def settings_files(self) -> list[ConfigDocument]:
        """The files with the bridge's own settings."""
        return [each for each in self.named("bridge.yaml") if not each.kind and isinstance(each.value, dict)]

    def beside(self, document: ConfigDocument, *kinds: str) -> list[ConfigDocument]:
        """The documents of these kinds that Dapr reads together with this one. The document itself is included if it is of such a kind."""
        return [each for each in self.of_kind(*kinds, dapr=True) if together(each.file, document.file) and same_namespace(each, document)]


@lru_cache(maxsize=2**16)
def together(one: Path, other: Path) -> bool:
    """Whether one of the files is in the folder of the other or below it."""
    above, below = sorted((one.parent, other.parent), key=lambda path: len(path.parts))
    return below == above or above in below.parents


def same_namespace(one: ConfigDocument, other: ConfigDocument) -> bool:
    """Whether both may be in one namespace; none said is any."""
    return not one.namespace or not other.namespace or one.namespace == other.namespace


def _one_set(folders: set[Path]) -> bool:
    """Whether one of the folders contains all the others."""
    top = min(folders, key=lambda path: len(path.parts), default=None)
    return top is None or all(each == top or top in each.parents for each in folders)


def nearest(found: dict[Path, T], to: Path) -> tuple[Path, T] | None:
    """The entry whose folder shares the longest path with the folder of `to`."""
    if not found:
        return None
    return max(found.items(), key=lambda item: len(os.path.commonpath([item[0].parent.absolute(), to.parent.absolute()])))


def overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether, by their scopes, one sidecar may read both resources."""
    return not one or not other or bool(set(one) & set(other))
