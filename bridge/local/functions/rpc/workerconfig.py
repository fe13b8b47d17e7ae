"""`worker.config.json`: how the program of a worker is started. A published C# app has one, because it is its own worker."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.files import textfile
from bridge.local.functions import appsettings
from bridge.local.functions.worker import Json, OnLog, WorkerHello, WorkerProgram

FILE = "worker.config.json"
_ROOT = "{WorkerRoot}"


@dataclass(frozen=True, slots=True)
class WorkerDescription:
    """`description` of the file in `folder`."""

    folder: Path
    language: str
    executable: str
    worker: str = ""
    arguments: Sequence[str] = ()
    indexes: bool = False  #: whether the worker says which functions there are


@dataclass(frozen=True, slots=True)
class RpcStart:
    """How a worker is addressed at its start.

    `described` is what describes the functions if the worker is not asked, `by_files` if it is asked and leaves it to the host; `seconds`
    is how long each step of the start may take. The worker directory is that of the app, if the app is its own worker.
    """

    described: Sequence[Json] | None = None
    seconds: float = 60.0
    worker_directory: Path | None = None
    by_files: Sequence[Json] = ()


def read(folder: Path) -> WorkerDescription:
    """The description in the folder's file. Raises ConfigurationError."""
    path = folder / FILE
    try:
        content = textfile.read_json(path)
    except (OSError, ValueError) as problem:
        raise ConfigurationError([f"{path} cannot be read: {problem}."]) from problem
    found = content.get("description") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("language", "defaultExecutablePath")):
        raise ConfigurationError([f"{path} must have an object 'description' with the texts 'language' and 'defaultExecutablePath'."])
    arguments = found.get("arguments")
    return WorkerDescription(
        folder,
        found["language"].lower(),
        found["defaultExecutablePath"],
        str(found.get("defaultWorkerPath") or ""),
        [str(each) for each in arguments] if isinstance(arguments, list) else (),
        str(found.get("workerIndexing", "")).lower() == "true",
    )


def command(description: WorkerDescription, program: str, settings: Mapping[str, str]) -> list[str]:
    """The command line up to what the host adds. `program` runs the worker. Raises ConfigurationError if the worker is not there."""
    path = description.folder / FILE
    worker = Path(expanded(description.worker, description.folder, settings)) if description.worker else None
    if worker is not None and not (description.folder / worker).is_file():
        raise ConfigurationError([f"{path} names {description.worker}, and there is no such file; publish the app again."])
    arguments = shlex.split(" ".join(expanded(each, description.folder, settings) for each in description.arguments))
    return [program, *arguments, *([str(description.folder / worker)] if worker is not None else [])]


def own_program(description: WorkerDescription, settings: Mapping[str, str]) -> str:
    """The program in the folder of the worker that runs it; nothing if it is one of the machine's. Raises ConfigurationError."""
    if _ROOT not in description.executable:
        return ""
    program = Path(expanded(description.executable, description.folder, settings))
    if not program.is_file():
        raise ConfigurationError([f"{description.folder / FILE} names {program.name}, and there is no such file; publish the app again."])
    if not os.access(program, os.X_OK):
        raise ConfigurationError([f"{program} may not be executed; run `chmod +x {program}`."])
    return str(program)


def expanded(text: str, folder: Path, settings: Mapping[str, str]) -> str:
    """The text with the folder of the worker, and with each `%NAME%` that is a setting, in its place."""
    return appsettings.expanded(text.replace(_ROOT, f"{folder}/"), settings)


def environment(language: str, folder: Path, app: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the worker in `folder` for the app in `app`, as Azure's host gives it.

    The app's settings win over the first two.
    """
    return {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        **settings,
        "FUNCTIONS_WORKER_RUNTIME": language,
        "FUNCTIONS_WORKER_DIRECTORY": str(folder),
        "FUNCTIONS_APPLICATION_DIRECTORY": str(app),
        "AzureWebJobsScriptRoot": str(app),
    }


def program(words: Sequence[str], app: Path, environment: Mapping[str, str], begin: RpcStart) -> WorkerProgram:
    """The program of a worker for the app in `app`."""
    return WorkerProgram(words, app, environment, app, start=partial(_start, begin), cancels=True)


async def _start(begin: RpcStart, started: WorkerProgram, on_log: OnLog) -> tuple[Any, WorkerHello]:
    from bridge.local.functions.rpc.rpcworker import RpcWorker  # noqa: PLC0415 - it brings grpc, which most hosts do not need

    return await RpcWorker.start(begin, started, on_log)
