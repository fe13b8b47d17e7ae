"""The functions of an app that describes each in a folder of its own, by a `function.json`.

One that cannot be read is a problem of that function alone; its neighbours run. Rules of the Functions host: FunctionMetadataProvider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.files import textfile
from bridge.local.functions import retries

FILE = "function.json"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
_NO_SCRIPT = (
    "Unable to determine the primary function script. Make sure at least one script file is present. "
    "Name the script 'run', or name it in 'scriptFile' of function.json"
)


@dataclass(frozen=True, slots=True)
class FunctionFolder:
    """A function as its folder describes it."""

    name: str
    directory: Path
    script: Path
    entry_point: str
    bindings: list[dict[str, Any]]
    retry: Mapping[str, Any] | None = None
    content: Mapping[str, Any] = field(default_factory=dict)  #: all that its file says

    def described(self) -> dict[str, Any]:
        """The function as a worker takes it."""
        return {
            "name": self.name,
            "directory": str(self.directory),
            "scriptFile": str(self.script),
            "entryPoint": self.entry_point,
            "bindings": self.bindings,
            **({"retry": dict(self.retry)} if self.retry is not None else {}),
        }


def is_app(directory: Path) -> bool:
    """Whether the folder holds functions that are described by files."""
    return any(directory.glob(f"*/{FILE}"))


def read_all(directory: Path, *, scripts: bool = True) -> tuple[list[FunctionFolder], dict[str, str]]:
    """The functions of the app in ordinal order of their names, and the problem of each one that cannot be read, by its name.

    `scripts` is whether each needs a script of its own.
    """
    functions, problems = [], {}
    for file in sorted(directory.glob(f"*/{FILE}"), key=lambda each: each.parent.name):
        try:
            functions.append(read(file.parent, scripts=scripts))
        except ValueError as problem:
            problems[file.parent.name] = str(problem)
    return functions, problems


def check_name(name: str) -> None:
    """Raises ValueError for what is no name of a function."""
    if not _NAME.fullmatch(name) or name.lower() == "host":
        raise ValueError(f"{name[:200]!r} is not a valid function name; it begins with a letter and has letters, digits, _ and -")


def read(directory: Path, *, scripts: bool = True) -> FunctionFolder:
    """The function in `directory`. Raises ValueError with what is wrong."""
    check_name(directory.name)
    content = _object(directory / FILE)
    bindings = content.get("bindings")
    if not isinstance(bindings, list) or not bindings or not all(isinstance(each, dict) for each in bindings):
        raise ValueError(f"{FILE} must have a list 'bindings' of objects, at least one, each with the texts 'type' and 'name'")
    if scripts and not all(isinstance(each.get(key), str) and each[key] for each in bindings for key in ("type", "name")):
        raise ValueError(f"{FILE} must have a list 'bindings' of objects, each with the texts 'type' and 'name'")
    for each in bindings:
        check_words(each)
    named = str(content.get("scriptFile") or "")
    return FunctionFolder(
        name=directory.name,
        directory=directory,
        script=_script(directory, named) if scripts or named else directory / FILE,
        entry_point=str(content.get("entryPoint") or ""),
        bindings=[{"direction": "in", **each} for each in bindings],
        retry=retries.described(content.get("retry")),
        content=content,
    )


def check_words(binding: Mapping[str, Any]) -> None:
    """Raises ValueError for a direction or a data type that does not exist."""
    for name, allowed in (("direction", ("in", "out", "inout")), ("dataType", ("undefined", "string", "binary", "stream"))):
        given = next((value for field, value in binding.items() if field.lower() == name.lower()), None)
        if isinstance(given, str) and given.lower() not in allowed:
            raise ValueError(f"the {name} {given!r} of the binding {binding.get('name')!r} does not exist; write {' or '.join(allowed)}")


def _object(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = dict(textfile.read_json(file))
    except (OSError, ValueError, TypeError) as problem:
        raise ValueError(f"{FILE} cannot be read as one JSON object: {problem}") from problem
    return content


def _script(directory: Path, named: str) -> Path:
    """The file that `scriptFile` names; without it the only file beside function.json, else the one called run."""
    if named:
        return Path((directory / named.replace("\\", "/")).absolute().as_posix()).resolve()
    files = [each for each in sorted(directory.iterdir()) if each.is_file() and each.name.lower() != FILE]
    runs = [each for each in files if each.stem.lower() == "run" or each.name.lower() in ("__init__.py", "index.js")]
    chosen = files if len(files) == 1 else runs
    if len(chosen) != 1:
        raise ValueError(_NO_SCRIPT)
    return chosen[0]
