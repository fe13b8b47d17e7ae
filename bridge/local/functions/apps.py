"""Function apps on disk."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigurationError

log = logging.getLogger("bridge.functions")

WORKERS = Path(__file__).parent / "workers"


@dataclass(frozen=True, slots=True)
class App:
    """One folder with functions of one language."""

    name: str
    directory: Path


def discover(folder: Path) -> list[App]:
    """The apps directly below `folder`, by name: "python" becomes `python-functions`. Raises ConfigurationError if there is none."""
    if not folder.is_dir():
        raise ConfigurationError([f"{folder} is not a folder; --apps must name the folder that holds the function apps."])
    found = []
    for directory in sorted(each for each in folder.iterdir() if each.is_dir()):
        if (directory / "function_app.py").is_file():
            found.append(App(f"{directory.name}-functions", directory.resolve()))
        elif any(directory.glob("*/function.json")):
            log.warning("%s is not run: this host has no worker for its language.", directory)
    if not found:
        raise ConfigurationError([f"{folder} holds no function app: none of its folders has a function_app.py."])
    return found


def worker_command(python: str) -> list[str]:
    """The command that runs a Python app's worker; its working directory is `WORKERS`."""
    return [python or sys.executable, "-m", "pyworker"]
