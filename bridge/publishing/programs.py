"""Checks that a package has what Azure needs: the files that define functions, and the programs that run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import apps, customhandler, functionjson, hostjson
from bridge.local.functions.apps import AppFolder, Language
from bridge.local.functions.rpc import dotnetapp, workerconfig
from bridge.publishing import leftout
from bridge.publishing.contents import PackedFile


def check(app: AppFolder, files: Sequence[PackedFile]) -> None:
    """Raises ConfigurationError for a file that is missing or was left out."""
    packed = {each.content for each in files}
    reasons = [
        _reason(path, path.relative_to(app.directory).as_posix())
        for path in _needed(app)
        if path.is_relative_to(app.directory) and path not in packed
    ]
    if reasons:
        raise ConfigurationError(reasons)


def _reason(path: Path, name: str) -> str:
    if not path.is_file():
        return f"{path} is not there, and a function.json names it. Correct the name."
    return f"{name} would be left out, and without it the app does not run in Azure. Add the line `!/{name}` to its {leftout.FILE}."


def executables(app: AppFolder) -> list[Path]:
    """The programs of the app that Azure starts, which must be executable in the package. Raises ConfigurationError."""
    if app.language is Language.CUSTOM:
        found = _handler(app.directory)
        return [found] if found is not None else []
    if app.language is Language.DOTNET:
        own = workerconfig.own_program(workerconfig.read(app.directory), {})
        return [Path(own)] if own else []
    return []


def _needed(app: AppFolder) -> Iterator[Path]:
    if app.language is Language.DOTNET:
        yield from _published(app.directory)
    elif app.language is Language.PYTHON and not apps.is_python_v1(app):
        yield app.directory / "function_app.py"
    else:
        for each in functionjson.read_all(app.directory, scripts=app.language is not Language.CUSTOM)[0]:
            yield from dict.fromkeys((each.directory / functionjson.FILE, each.script))
    yield from executables(app)


def _published(app: Path) -> list[Path]:
    if not (app / workerconfig.FILE).is_file():
        raise ConfigurationError([f"{app / workerconfig.FILE} is missing, and it says how the app is started; publish the app again."])
    description = workerconfig.read(app)
    words = workerconfig.command(description, "dotnet", {})
    worker = [Path(words[-1])] if description.worker else []
    metadata = [app / dotnetapp.METADATA] if not description.indexes else []
    return [app / workerconfig.FILE, *worker, *metadata]


def _handler(app: Path) -> Path | None:
    """The program of a custom handler, if it is a file of the app. Raises ConfigurationError if that file does not exist."""
    path = app / "host.json"
    described = customhandler.describe(hostjson.read_object(path), str(path))
    named = described.executable.replace("\\", "/")
    if "%" in named + described.working_directory or Path(named).is_absolute():
        return None
    beside = app / described.working_directory / named
    if beside.is_file():
        return beside
    if "/" not in named and (described.arguments or described.worker_path):
        return None  # a program of the machine that is told what to run, such as `node server.js`
    told = f"{path} starts {described.executable}, and there is no such file in {beside.parent}. Build it for Linux"
    raise ConfigurationError([f"{told} (Go: `GOOS=linux GOARCH=amd64 go build -o {named} .`), or correct the name."])
