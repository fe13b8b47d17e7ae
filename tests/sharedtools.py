"""Tools that no registry has and that lie in a folder `shared` beside the checkout, or beside the repository that it was cloned from."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


@cache
def find(name: str) -> Path | None:
    """The folder of a tool, such as `pwsh`; None if it is not there."""
    return next((folder for place in _places() if (folder := place.parent / "shared" / name).is_dir()), None)


@cache
def _places() -> tuple[Path, ...]:
    asked = ["git", "config", "--get", "remote.origin.url"]
    origin = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip().removeprefix("file://")
    worktree = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
    common = subprocess.run(worktree, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()
    return (CHECKOUT, *(Path(each) for each in (origin,) if each.startswith("/")), *(Path(each).parent for each in (common,) if each))
