"""Reads the named files and the configuration files in the named folders. Other files in the folders are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bridge.doctor import kustomize, ownfiles, parsing
from bridge.doctor.findings import Hit
from bridge.doctor.project import DoctorProject
from bridge.files import textfile, yamlfile

STDIN = Path("-")
_PEM = (".crt", ".cer", ".pem")
_YAML = (".yaml", ".yml")
_LEFT_OUT = frozenset({"node_modules", "__pycache__", "bin", "obj"})
_JSON = frozenset({"host.json", "host.override.json", "function.json", "local.settings.json", "servicebus.json", "config.json"})
_RESOURCE = ('"apiVersion"', '"kind"')  #: both are in every resource in JSON; other JSON files are skipped


class _TooLarge(ValueError):
    pass


def read(paths: Sequence[Path], stdin: Callable[[], str] = str) -> DoctorProject:
    """Read files and folders; `-` is standard input. Raises OSError for a path that does not exist."""
    project = DoctorProject()
    for path in dict.fromkeys(each for named in paths for each in _files(named)):
        _read_file(path, project, stdin, is_named=path in paths)
    kustomize.mark(project)
    ownfiles.read(project)
    return project


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or the configuration files in the folder. Links to folders are not followed, so no file is read twice."""
    if path == STDIN or not path.is_dir():
        if path != STDIN:
            path.stat()
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name.startswith(".") or child.name in _LEFT_OUT:
            continue
        if child.is_dir():
            if not child.is_symlink():
                yield from _files(child)
        elif child.suffix.lower() in (*_YAML, *_PEM, ".json") and child.is_file():
            yield child


def _read_file(path: Path, project: DoctorProject, stdin: Callable[[], str], *, is_named: bool) -> None:
    kind = path.suffix.lower()
    is_ours = is_named or kind != ".json" or path.name.lower() in _JSON
    try:
        text = stdin() if path == STDIN else _text(path)
    except _TooLarge:
        if is_ours:
            project.skipped.append(f"{path} is larger than {yamlfile.MOST_BYTES:,} bytes")
        return
    except UnicodeDecodeError as fault:
        if kind in _PEM:
            project.skipped.append(f"{path} is a certificate, but not in PEM format")
        elif is_ours:
            _unreadable(project, Hit(path, 1, f"The file is not UTF-8 text: {fault.reason}.", "Save it in UTF-8."))
        return
    except OSError as fault:
        _unreadable(project, Hit(path, 1, f"The file cannot be read: {fault.strerror}.", "Give read permission to whoever deploys it."))
        return
    if kind in _PEM:
        project.certificates[path] = text
    elif is_ours or all(each in text for each in _RESOURCE):
        _parse(path, text, project, is_ours=is_ours)


def _parse(path: Path, text: str, project: DoctorProject, *, is_ours: bool) -> None:
    if path.suffix.lower() == ".json":
        documents, refused = parsing.of_json(path, text)
        refused = refused if is_ours or documents else []
    elif path != STDIN and parsing.is_template(text):
        project.skipped.append(f"{path} is a template; render it first, for example: helm template CHART | bridge doctor -")
        return
    else:
        documents, refused = parsing.of_yaml(path, text)
    project.documents += documents
    project.unreadable += refused


def _text(path: Path) -> str:
    """The text of a file. Raises OSError, UnicodeDecodeError, or _TooLarge without reading more than the limit."""
    with path.open("rb") as file:
        data = file.read(yamlfile.MOST_BYTES + 1)
    if len(data) > yamlfile.MOST_BYTES:
        raise _TooLarge
    return textfile.decode(data)


def _unreadable(project: DoctorProject, found: Hit) -> None:
    project.unreadable.append(("not-readable", found))
