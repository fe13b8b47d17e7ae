"""Kustomize patches: files that look like resources but contain only changes to a resource in another file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import Hit, hit
from bridge.doctor.project import DoctorProject

_NAMES = ("kustomization.yaml", "kustomization.yml")


def mark(project: DoctorProject) -> None:
    """Mark the documents that a kustomization names as patches, and report files that it names but that do not exist."""
    for each in project.documents:
        if is_kustomization(each):
            project.unreadable += [("kustomization-incomplete", found) for found in _missing(each)]
    named = {path for each in project.documents if is_kustomization(each) for path in _patches(each)}
    if named:
        project.documents[:] = [replace(each, is_patch=each.file.resolve() in named) for each in project.documents]


def is_kustomization(document: ConfigDocument) -> bool:
    """Whether the document is a kustomization."""
    return document.file.name in _NAMES or document.api.startswith("kustomize.config.k8s.io/")


def _patches(document: ConfigDocument) -> Iterator[Path]:
    for _, each in document.items("patchesStrategicMerge"):
        if isinstance(each, str) and "\n" not in each:
            yield (document.file.parent / each).resolve()
    for _, each in document.items("patches"):
        if isinstance(each, dict) and isinstance(each.get("path"), str):
            yield (document.file.parent / each["path"]).resolve()


def _missing(document: ConfigDocument) -> Iterator[Hit]:
    for path, name in _local(document):
        if not (document.file.parent / name).exists():
            yield hit(document, path, f"{name} does not exist.", "Correct the name, or add the file.")


def _local(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], str]]:
    """The local files and folders that the kustomization names, each with the place of its name."""
    if document.file == Path("-"):
        return
    for field in ("resources", "bases", "components", "patchesStrategicMerge"):
        yield from (((field, index), each) for index, each in document.items(field) if isinstance(each, str) and _is_local(each))
    for field in ("patches", "patchesJson6902"):
        for index, each in document.items(field):
            if isinstance(each, dict) and isinstance(each.get("path"), str):
                yield (field, index, "path"), each["path"]


def _is_local(name: str) -> bool:
    """Whether the name is a local path: not a URL, a repository or an inline patch."""
    return not re.search(r"\n|://|\?ref=|^[\w.-]+\.(com|io|org|net|dev)[:/]|^git@|[{$]", name)
