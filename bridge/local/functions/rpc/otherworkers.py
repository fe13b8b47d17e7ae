"""Workers for other languages that speak Azure's protocol: those that `BRIDGE_WORKERS` names, else those of Core Tools if it is there."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import functionjson
from bridge.local.functions.rpc import dotnetapp, workerconfig
from bridge.local.functions.rpc.workerconfig import RpcStart, WorkerDescription
from bridge.local.functions.worker import WorkerProgram

VARIABLE = "BRIDGE_WORKERS"
_FUNC = "func"
_VERSION = "FUNCTIONS_WORKER_RUNTIME_VERSION"
_USUAL_VERSIONS = {"python": "3.11", "powershell": "7.4"}
_SYSTEMS = {"linux": "LINUX", "darwin": "OSX", "win32": "WINDOWS"}
_MACHINES = {"x86_64": "X64", "amd64": "X64", "aarch64": "Arm64", "arm64": "Arm64"}


def find(language: str, environment: Mapping[str, str], *, only_named: bool) -> WorkerDescription | None:
    """The worker for a language; None if there is none. `only_named` leaves out Core Tools'. Raises ConfigurationError."""
    named = environment.get(VARIABLE, "")
    if named and not Path(named).is_dir():
        raise ConfigurationError([f"{VARIABLE} is {named}, which is not a folder; it must hold NAME/worker.config.json for each worker."])
    places = [Path(named)] if named else []
    for place in places if only_named else [*places, *_of_core_tools(environment)]:
        if (place / language / workerconfig.FILE).is_file():
            return workerconfig.read((place / language).resolve())
    return None


def _of_core_tools(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where Core Tools keep their workers: beside `func`, or in `bin` of their npm package."""
    if found := shutil.which(_FUNC, path=environment.get("PATH", "")):
        folder = Path(found).resolve().parent
        yield from (folder / "workers", folder.parent / "bin" / "workers")


def runner(description: WorkerDescription, environment: Mapping[str, str]) -> str:
    """The program that runs the worker. Raises ConfigurationError if it is not there."""
    if own := workerconfig.own_program(description, environment):
        return own
    name = workerconfig.expanded(description.executable, description.folder, environment)
    asked = environment.get(dotnetapp.VARIABLE, name) if name == "dotnet" else name
    if found := shutil.which(asked, path=environment.get("PATH", "")):
        return found
    raise ConfigurationError([f"There is no {asked}, and it runs the {description.language} worker in {description.folder}. Install it."])


def program(description: WorkerDescription, run_by: str, app: Path, settings: Mapping[str, str]) -> WorkerProgram:
    """The worker for the app in `app`. Raises ConfigurationError."""
    system, machine = _SYSTEMS.get(sys.platform, sys.platform), platform.machine().lower()
    version = settings.get(_VERSION) or _USUAL_VERSIONS.get(description.language, "")
    path = description.worker.replace("{os}", system).replace("{architecture}", _MACHINES.get(machine, machine))
    description = replace(description, worker=path.replace(f"%{_VERSION}%", version))
    environment = workerconfig.environment(description.language, description.folder, app, settings)
    by_files = [each.described() for each in functionjson.read_all(app)[0]]
    begin = RpcStart(worker_directory=description.folder, by_files=by_files)
    return replace(workerconfig.program(workerconfig.command(description, run_by, settings), app, environment, begin), cancels=False)
