"""The defaults that are part of the package, for a bridge that is started in a folder without files of its own."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "defaults"
_HELPERS = (FOLDER / "helpers", FOLDER.parents[1] / "functions")  #: in a wheel, and in a checkout
INIT = FOLDER / "init"  #: what `bridge init` writes


def instead_of(path: Path, name: str) -> Path:
    """`path`, or the packaged file of this name where there is none."""
    return path if path.exists() else FOLDER / name


def helper(name: str) -> Path:
    """A file or folder that functions need and that is the same in every app, such as `python/bridge_result.py`."""
    return next(path for folder in _HELPERS if (path := folder / name).exists())
