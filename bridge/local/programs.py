"""Where a program of Dapr is on this machine. Needs nothing but Python, because `make dapr` looks here before anything is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def nearest(program: str, built: Iterable[Path]) -> Path | None:
    """The one on the PATH, else the one of the Dapr CLI, else the first that runs of those that were `built` here."""
    return next((path for path in _places(program, built) if runs(path)), None)


def runs(path: Path) -> bool:
    """Whether it is there and may be run."""
    return os.access(path, os.X_OK)


def _places(program: str, built: Iterable[Path]) -> Iterator[Path]:
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path)
    yield Path.home() / ".dapr" / "bin" / program
    yield from built
