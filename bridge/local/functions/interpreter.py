"""Which Python runs the function apps. Standard library only: the Makefile runs this before anything is installed.

`python -m bridge.local.functions.interpreter` prints the interpreter to make `.venv-functions` with: the newest one that
`azure-functions-runtime` supports (3.13 and later), or the one that runs this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.errors import ConfigurationError

WANTED = (3, 13)  #: oldest Python that azure-functions-runtime runs on
NEWEST = 20  #: highest minor version looked for
VENV = Path(".venv-functions")
_VERSION = re.compile(r"3\.(\d+)\.\d+$")


def for_venv(environment: Mapping[str, str] = os.environ) -> str:
    """The newest Python of at least `WANTED` that starts, else the running one."""
    for candidate in candidates(environment):
        if starts(candidate):
            return candidate
    return sys.executable


def candidates(environment: Mapping[str, str]) -> Iterator[str]:
    """Interpreters on PATH and among pyenv's versions, newest first."""
    pyenv = Path(environment.get("PYENV_ROOT") or Path(environment.get("HOME", "/")) / ".pyenv") / "versions"
    versions = sorted((_minor_and_patch(each), each) for each in pyenv.glob("3.*"))
    for minor in range(NEWEST, WANTED[1] - 1, -1):
        if found := shutil.which(f"python3.{minor}", path=environment.get("PATH", "")):
            yield found
        yield from (str(path / "bin" / "python") for version, path in reversed(versions) if version[0] == minor)


def _minor_and_patch(folder: Path) -> tuple[int, int]:
    """(13, 2) for a folder named 3.13.2; development builds and others count as (0, 0)."""
    named = _VERSION.fullmatch(folder.name)
    return (int(named[1]), int(folder.name.rsplit(".", 1)[1])) if named else (0, 0)


def starts(python: str) -> bool:
    """Whether `python` runs and is new enough; pyenv's shims, for one, exist without a version behind them."""
    check = f"import sys; sys.exit(sys.version_info < {WANTED})"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, timeout=10, check=False).returncode == 0  # noqa: S603 - a fixed program
    except (OSError, subprocess.TimeoutExpired):
        return False


def for_apps(asked: str = "", environment: Mapping[str, str] = os.environ) -> str:
    """The interpreter that runs Python apps: the one asked for, `BRIDGE_FUNCTIONS_PYTHON`, or that of `.venv-functions`.

    Raises ConfigurationError if there is none.
    """
    chosen = asked or environment.get("BRIDGE_FUNCTIONS_PYTHON", "")
    if chosen:
        if found := shutil.which(chosen):
            return str(Path(found).absolute())
        raise ConfigurationError([f"{chosen} is not a program; --python or BRIDGE_FUNCTIONS_PYTHON must name a Python interpreter."])
    python = VENV / "bin" / "python"
    if not python.exists():
        raise ConfigurationError(
            [f"{python} does not exist, and it runs the Python functions. `make setup` makes it; --python names another."]
        )
    return str(python.absolute())


if __name__ == "__main__":
    sys.stdout.write(f"{for_venv()}\n")
