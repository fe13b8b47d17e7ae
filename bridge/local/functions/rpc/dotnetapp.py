"""C# apps of the isolated worker model: recognised by what `dotnet publish` leaves, and started as their own worker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.files import textfile
from bridge.local.functions.rpc import workerconfig
from bridge.local.functions.rpc.workerconfig import RpcStart
from bridge.local.functions.worker import WorkerProgram

VARIABLE = "BRIDGE_DOTNET"
LANGUAGE = "dotnet-isolated"
METADATA = "functions.metadata"
_PROJECTS = ("*.csproj", "*.fsproj", "*.vbproj")
_USUAL_PLACES = ("/usr/bin", "/usr/local/bin", "/usr/lib/dotnet", "/usr/share/dotnet", "/usr/local/share/dotnet", "/snap/bin", "~/.dotnet")


class NoDotnet(ConfigurationError):
    """There is no `dotnet` on this machine, so its C# apps cannot run; apps in other languages can."""


def is_published(app: Path) -> bool:
    """Whether the folder is the output of `dotnet publish` of an isolated app, or was it before a file was lost."""
    path = app / workerconfig.FILE
    if path.is_file():
        try:
            return workerconfig.read(app).language == LANGUAGE
        except ConfigurationError:
            return True
    return (app / METADATA).is_file() and any(app.glob("*.deps.json"))


def is_source(app: Path) -> bool:
    """Whether the folder holds a project that has to be published first."""
    return any(any(app.glob(pattern)) for pattern in _PROJECTS)


def find(app: Path, environment: Mapping[str, str]) -> str:
    """What runs the app in `app`: its own executable, the `dotnet` that `BRIDGE_DOTNET` names, or that of the machine.

    Raises ConfigurationError if the app cannot be started, and NoDotnet if there is no `dotnet` for it.
    """
    description = _described(app)
    if own := workerconfig.own_program(description, environment):
        return own
    if named := environment.get(VARIABLE, ""):
        if found := shutil.which(named):
            return str(Path(found).absolute())
        raise ConfigurationError([f"{VARIABLE} is {named}, which is not a program; it must name dotnet of the release that the app needs."])
    for found in _candidates(description.executable, environment):
        return found
    mend = f"Install the .NET runtime, name it in {VARIABLE}, or publish the app with `--self-contained`."
    raise NoDotnet([f"There is no {description.executable}, and it runs the functions in {app}. {mend}"])


def _described(app: Path) -> workerconfig.WorkerDescription:
    if not (app / workerconfig.FILE).is_file():
        if is_source(app):
            published = f"`dotnet publish {app} -o {app.parent / (app.name + '-published')}`"
            raise ConfigurationError(
                [f"{app} is the source of an app that was not published. Run {published}, and name that folder's parent."]
            )
        raise ConfigurationError([f"{app / workerconfig.FILE} is missing, and it says how the app is started; publish the app again."])
    return workerconfig.read(app)


def _candidates(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    folders = [environment.get("DOTNET_ROOT", ""), environment.get("PATH", ""), *(str(Path(place).expanduser()) for place in _USUAL_PLACES)]
    yield from (found for folder in folders if folder and (found := shutil.which(name, path=folder)))


def program(runner: str, app: Path, settings: Mapping[str, str], runtime: str) -> WorkerProgram:
    """The worker of the app in `app`. `runtime` is what local.settings.json says that it is. Raises ConfigurationError."""
    if runtime not in ("", LANGUAGE):
        raise ConfigurationError(
            [f"{app}: FUNCTIONS_WORKER_RUNTIME is {runtime!r} in local.settings.json; for this app it is {LANGUAGE!r}."]
        )
    description = _described(app)
    environment = workerconfig.environment(LANGUAGE, app, app, settings)
    begin = RpcStart(None if description.indexes else _metadata(app / METADATA))
    return workerconfig.program(workerconfig.command(description, runner, settings), app, environment, begin)


def described(app: Path) -> list[dict[str, Any]]:
    """What a published app says of its functions without being started; nothing for a folder that is none. Raises ConfigurationError."""
    return _metadata(app / METADATA) if is_published(app) else []


def _metadata(path: Path) -> list[dict[str, Any]]:
    """What describes the functions of an app whose worker is not asked. Raises ConfigurationError."""
    try:
        content = textfile.read_json(path)
    except (OSError, ValueError) as problem:
        raise ConfigurationError([f"{path} cannot be read, and it says which functions there are: {problem}."]) from problem
    if not isinstance(content, list) or not all(isinstance(each, dict) and each.get("name") for each in content):
        raise ConfigurationError([f"{path} must be a list of objects with the text 'name'; publish the app again."])
    return content
