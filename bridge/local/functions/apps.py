"""Finds the function apps in a folder."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.files import textfile
from bridge.local.functions import functionjson
from bridge.local.functions.rpc import dotnetapp

log = logging.getLogger("bridge.functions")

WORKERS = Path(__file__).parent / "workers"


#: What a folder has that is a function app; `also` joins them.
PARTS = "function_app.py, {also} worker.config.json of a C# app, {also} folder with a function.json and a script or a custom handler"
_SIGNS = ("host.json", "local.settings.json")  #: that a folder is meant to be a function app
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  #: of an app in the catalogue
_RENAME = "rename the folder, to lower-case letters, digits and hyphens"


class Language(Enum):
    """What the functions of an app are written in."""

    PYTHON = "python"
    POWERSHELL = "powershell"
    CUSTOM = "custom"
    DOTNET = dotnetapp.LANGUAGE
    NODE = "node"
    JAVA = "java"

    @property
    def by_files(self) -> bool:
        """Whether each function is described by a `function.json` alone."""
        return self not in (Language.PYTHON, Language.DOTNET, Language.NODE, Language.JAVA)

    @property
    def has_worker(self) -> bool:
        """Whether a worker for it is part of this host, or of the app."""
        return self not in (Language.NODE, Language.JAVA)


@dataclass(frozen=True, slots=True)
class AppFolder:
    """The folder of one function app, whose functions are all written in one language."""

    name: str
    directory: Path
    language: Language = Language.PYTHON


def discover(folder: Path) -> list[AppFolder]:
    """The apps directly below `folder`, in the order of their names: the folder `python` holds the app `python-functions`.

    Raises ConfigurationError if there is none.
    """
    if not folder.is_dir():
        raise ConfigurationError([f"{folder} is not a folder; --apps must name the folder that holds the function apps."])
    found = []
    for directory in sorted(each for each in folder.iterdir() if each.is_dir()):
        if language := language_of(directory):
            found.append(AppFolder(name_of(directory), directory.resolve(), language))
            if not _NAME.fullmatch(name_of(directory)):
                log.warning("%s runs as %s, which no catalogue can name: %s.", directory, name_of(directory), _RENAME)
        elif functionjson.is_app(directory):
            log.warning("%s is not run: this host has no worker for its language.", directory)
        elif signs := [each for each in _SIGNS if (directory / each).is_file()]:
            log.warning("%s is not run: it has %s, but no %s.", directory, signs[0], PARTS.format(also="and no"))
    if not found:
        above = f" It is an app itself: name the folder above it, {folder.absolute().parent}." if language_of(folder) else ""
        raise ConfigurationError([f"{folder} holds no function app: none of its folders has a {PARTS.format(also='or a')}.{above}"])
    return found


def name_of(directory: Path) -> str:
    """The name that an app in this folder has in the catalogue."""
    return f"{directory.name}-functions"


def language_of(directory: Path) -> Language | None:
    """The language of the app in a folder: what local.settings.json says, else what the files show.

    None if no app that runs here is there.
    """
    is_app = functionjson.is_app(directory)
    if dotnetapp.is_published(directory) or (dotnetapp.is_source(directory) and not is_app):
        return Language.DOTNET
    named = next((each for each in Language if each.value == runtime(directory)), None)
    by_code = named is not None and not named.has_worker and (directory / "host.json").is_file()  # its worker finds the functions
    if named is not None and (by_code or (is_app and named is not Language.PYTHON)):
        return named
    if (directory / "function_app.py").is_file():
        return Language.PYTHON
    if is_app and _has_handler(directory / "host.json"):
        return Language.CUSTOM
    scripts: Sequence[str] = ("profile.ps1", "*/*.ps1", "*/*.psm1")
    if is_app and any(any(directory.glob(pattern)) for pattern in scripts):
        return Language.POWERSHELL
    return Language.PYTHON if is_app and any(directory.glob("*/*.py")) else None


def is_python_v1(app: AppFolder) -> bool:
    """Whether the functions of a Python app are described by files."""
    return app.language is Language.PYTHON and not (app.directory / "function_app.py").is_file()


def runtime(directory: Path) -> str:
    """FUNCTIONS_WORKER_RUNTIME of the app's local.settings.json in lower case; nothing without one."""
    values = textfile.json_object(directory / "local.settings.json").get("Values")
    return str(values.get("FUNCTIONS_WORKER_RUNTIME", "")).lower() if isinstance(values, dict) else ""


def _has_handler(host_json: Path) -> bool:
    return any(name.lower() == "customhandler" for name in textfile.json_object(host_json))


def worker_command(python: str) -> list[str]:
    """The command that starts the worker of a Python app. It is run in the folder `WORKERS`."""
    return [python or sys.executable, "-m", "pyworker"]
