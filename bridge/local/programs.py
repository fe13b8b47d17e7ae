"""Where a program of Dapr is on this machine, and where `make dapr` puts those it builds.

This module needs nothing but Python, because `make dapr` uses it before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def nearest(program: str, built: Iterable[Path]) -> Path | None:
    """The one on the PATH, else the one of the Dapr CLI, else the first that runs of those that were `built` here."""
    return next((path for path in _places(program, built) if runs(path)), None)


def cache(version: str) -> Path:
    """The folder of the programs that were built from one version. Every checkout of this user shares it."""
    return _caches() / version


def built(program: str) -> list[Path]:
    """The program in every version that was built on this machine, the newest first."""
    return sorted(_caches().glob(f"*/{program}"), key=lambda path: _numbers(path.parent.name), reverse=True)


def _caches() -> Path:
    return Path.home() / ".cache" / "automation-bridge"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def runs(path: Path) -> bool:
    """Whether it is there and may be run."""
    return os.access(path, os.X_OK)


def _places(program: str, built: Iterable[Path]) -> Iterator[Path]:
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path)
    yield Path.home() / ".dapr" / "bin" / program
    yield from built
