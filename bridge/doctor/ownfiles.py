"""Reads the bridge's own files with the bridge's own code, and finds the lines that it rejects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bridge import catalog, entities, resilience, settings
from bridge.doctor import entityplaces
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import Hit
from bridge.doctor.project import DoctorProject
from bridge.errors import ConfigurationError


def read(project: DoctorProject) -> None:
    """Add the catalogues, lists of entities and policies to the project, and every problem with them or with the settings."""
    for path in dict.fromkeys(each.file for each in project.documents if each.kind == "Automation" and each.api.startswith("bridge/")):
        _own(project, "catalogue-invalid", path, catalog.load, project.catalogues)
    for document in list(project.documents):
        if document.file.suffix == ".json" and isinstance(document.get("UserConfig"), dict):
            _own(project, "entities-invalid", document.file, entities.load, project.entities)
    for document in project.settings_files:
        _own(project, "settings-invalid", document.file, _settings, {})
    folders = {path.parent for path in project.catalogues} | {each.file.parent for each in project.documents if each.kind == "Automation"}
    for document in list(project.of_kind("Resiliency")):
        if document.file.parent in folders and document.number == 1:
            _own(project, "policies-invalid", document.file, resilience.load, project.policies)


def _settings(path: Path) -> settings.Settings:
    return settings.load({"config": str(path.absolute())}, {}, path.absolute().parent)


def _own(project: DoctorProject, rule: str, path: Path, load: Callable[[Path], Any], found: dict[Path, Any]) -> None:
    try:
        found[path] = load(path)
    except ConfigurationError as fault:
        documents = project.of_file(path)
        for problem in fault.problems:
            text = problem.removeprefix(f"{path}").lstrip(":, ")
            line = entityplaces.line_of(documents[0], text) if rule == "entities-invalid" and documents else None
            hit = Hit(path, line or _line(documents, text), f"{text.rstrip('.')}.", "Correct it; until then the bridge does not start.")
            project.unreadable.append((rule, hit))


def setting_line(text: str, problem: str) -> int:
    """The line of the top-level setting that the problem names; line 1 if it names none."""
    names = {line.partition(":")[0].strip(): number for number, line in reversed(list(enumerate(text.splitlines(), 1)))}
    return next((names[word] for word in re.findall(r"[a-z_]+", problem) if word in names), 1)


def _line(documents: Sequence[ConfigDocument], problem: str) -> int:
    """The line of a problem that names a line or begins with its place, such as `document 2 (words.count), spec.targets.0.http: …`."""
    number, place = 1, problem.split(": ", 1)[0]
    if place.startswith("document "):
        number = int(place.split()[1].strip("(,)") or 1)
        place = place.partition(", ")[2]
    if said := re.search(r"\bline (\d+)[,:) ]", problem):
        return int(said[1])
    document = next((each for each in documents if each.number == number), documents[0] if documents else None)
    if document is None:
        return 1
    keys = [int(part) if part.isdecimal() else part for part in place.replace("[", ".").replace("]", "").split(".") if part]
    told = problem.partition(f"{place}: ")[2] if place else ""
    below = [key for key, value in document.mapping(*keys).items() if isinstance(value, str) and value and told.startswith(value)]
    return document.line(*keys, *below[:1])
