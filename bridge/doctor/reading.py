"""Reads the files below the paths that were named, and sorts them: what is not configuration is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bridge import catalog, entities, resilience, settings
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import Hit
from bridge.doctor.project import DoctorProject
from bridge.errors import ConfigurationError
from bridge.files import textfile, yamlfile

STDIN = Path("-")
_PEM = (".crt", ".cer", ".pem")
_LEFT_OUT = frozenset({"node_modules", "__pycache__", "bin", "obj"})
_JSON = frozenset({"host.json", "host.override.json", "servicebus.json", "config.json"})


def read(paths: Sequence[Path], stdin: Callable[[], str] = str) -> DoctorProject:
    """What stands in the files and below the folders; `-` is standard input. Raises OSError for a path that is not there."""
    project = DoctorProject()
    for path in dict.fromkeys(each for named in paths for each in _files(named)):
        _read_file(path, project, stdin)
    _own_files(project)
    return project


def _files(path: Path) -> Iterator[Path]:
    if path == STDIN or not path.is_dir():
        if path != STDIN:
            path.stat()
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name.startswith(".") or child.name in _LEFT_OUT or child.is_symlink():
            continue
        if child.is_dir():
            yield from _files(child)
        elif child.suffix in (".yaml", ".yml", *_PEM) or child.name.lower() in _JSON:
            yield child


def _read_file(path: Path, project: DoctorProject, stdin: Callable[[], str]) -> None:
    try:
        if path != STDIN and path.stat().st_size > yamlfile.MOST_BYTES:
            project.skipped.append(f"{path} is larger than {yamlfile.MOST_BYTES:,} bytes")
            return
        text = stdin() if path == STDIN else textfile.read(path)
    except UnicodeDecodeError as fault:
        if path.suffix in _PEM:
            project.skipped.append(f"{path} is a certificate, but not in PEM")
            return
        _unreadable(project, "not-readable", Hit(path, 1, f"It is no text in UTF-8: {fault.reason}.", "Save it in UTF-8."))
        return
    if path.suffix in (".yaml", ".yml") and "{{" in text and _is_template(text):
        project.skipped.append(f"{path} is a template; render it first, for example: helm template CHART | bridge doctor -")
    elif path.suffix in _PEM:
        project.certificates[path] = text
    elif path.suffix == ".json":
        _read_json(path, text, project)
    else:
        _read_yaml(path, text, project)


def _is_template(text: str) -> bool:
    return any(line.split("#", 1)[0].strip().startswith(("{{", "- {{")) or ": {{" in line for line in text.splitlines())


def _read_yaml(path: Path, text: str, project: DoctorProject) -> None:
    try:
        for number, (node, value) in enumerate(yamlfile.placed(text), 1):
            if value is not None:
                project.documents.append(ConfigDocument(path, text, value, number, node))
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = mark.line + 1 if mark else 1
        rule = "key-twice" if "stands twice" in str(fault.problem) else "not-readable"
        mend = "Keep one of them." if rule == "key-twice" else "Correct it; nothing of this file is read as it is."
        _unreadable(project, rule, Hit(path, line, f"{str(fault.problem or fault).capitalize()}.", mend))
    except yaml.YAMLError as fault:
        _unreadable(project, "not-readable", Hit(path, 1, f"It is not YAML: {' '.join(str(fault).split())}.", "Correct it."))


def _read_json(path: Path, text: str, project: DoctorProject) -> None:
    try:
        value: Any = textfile.parse_json(text)
    except ValueError as fault:
        said = re.search(r"line (\d+)", str(fault))
        line = int(said[1]) if said else 1
        _unreadable(project, "not-readable", Hit(path, line, f"It is not JSON: {fault}.", "Correct it."))
        return
    try:
        json.loads(text)
        [(node, _)] = yamlfile.placed(text)  # JSON is YAML, whose nodes know their places
    except (ValueError, yaml.YAMLError):
        node = None
    project.documents.append(ConfigDocument(path, text, value, 1, node))


def _unreadable(project: DoctorProject, rule: str, found: Hit) -> None:
    project.unreadable.append((rule, found))


def _own_files(project: DoctorProject) -> None:
    """Read what the bridge itself reads, as it reads it."""
    for path in dict.fromkeys(each.file for each in project.documents if each.kind == "Automation" and each.api == "bridge/v1"):
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
            project.unreadable.append(
                (rule, Hit(path, _line(documents, text), f"{text.rstrip('.')}.", "Correct it; the bridge does not start."))
            )


def setting_line(text: str, problem: str) -> int:
    """The line of the setting at the top of the file that the problem begins with; the first if it names none."""
    names = {line.partition(":")[0].strip(): number for number, line in reversed(list(enumerate(text.splitlines(), 1)))}
    return next((names[word] for word in re.findall(r"[a-z_]+", problem) if word in names), 1)


def _line(documents: Sequence[ConfigDocument], problem: str) -> int:
    """The line of a problem that begins with its place, such as `document 2 (words.count), spec.targets.0.http: …`."""
    number, place = 1, problem.split(": ", 1)[0]
    if place.startswith("document "):
        number = int(place.split()[1].strip("(,)") or 1)
        place = place.partition(", ")[2]
    document = next((each for each in documents if each.number == number), documents[0] if documents else None)
    if document is None:
        return 1
    keys = [int(part) if part.isdecimal() else part for part in place.replace("[", ".").replace("]", "").split(".") if part]
    return document.line(*keys)
