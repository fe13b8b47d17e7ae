"""The Python environment of each app: the one in its folder, the shared one if it has what the app requires, or one that is made once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging import utils
from packaging.requirements import InvalidRequirement, Requirement

from bridge.errors import ConfigurationError
from bridge.local.functions import interpreter

log = logging.getLogger("bridge.functions")

PACKAGES = Path(".python_packages") / "lib" / "site-packages"  #: where Core Tools put an app's packages
_REQUIREMENTS = "requirements.txt"
_WITHOUT_REQUIREMENTS = "azure-functions\n"
_RUNTIME = "azure-functions-runtime; python_version >= '3.13'"  #: what runs Python functions in Azure, where it is part of the platform
_SECONDS = 600.0  #: that the making of an environment may take
_LONGEST_REASON = 2_000  #: characters of what pip says


def existing(app: Path, asked: str, environment: Mapping[str, str]) -> str:
    """The interpreter that is there for the app: the one asked for, its own `.venv`, the shared one if it has what the app requires.

    Empty if one must be made. Raises ConfigurationError if the one asked for is none.
    """
    if asked or environment.get("BRIDGE_FUNCTIONS_PYTHON"):
        return interpreter.for_apps(asked, environment)
    own = app / ".venv" / "bin" / "python"
    if own.exists():
        return str(own)
    return interpreter.for_apps("", environment) if satisfies(interpreter.VENV, app / _REQUIREMENTS) else ""


def satisfies(environment: Path, requirements: Path) -> bool:
    """Whether a virtual environment has every distribution that the file names, in a version that it takes.

    A line that names no distribution, such as an address or another file, is not known to be there.
    """
    packages = next(environment.glob("lib/python3.*/site-packages"), None)
    if packages is None or not (environment / "bin" / "python").exists():
        return False
    if not requirements.exists():
        return True
    versions = {utils.canonicalize_name(each.name): each.version for each in distributions(path=[str(packages)])}
    try:
        lines = [line.partition(" #")[0].strip() for line in requirements.read_text("utf-8-sig").splitlines()]
        wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    except (InvalidRequirement, UnicodeDecodeError):
        return False
    python = {"python_version": packages.parent.name.removeprefix("python")}
    counted = [each for each in wanted if each.marker is None or each.marker.evaluate(python)]
    return all(_fits(each, versions.get(utils.canonicalize_name(each.name))) for each in counted)


def _fits(wanted: Requirement, version: str | None) -> bool:
    return version is not None and wanted.url is None and wanted.specifier.contains(version, prereleases=True)


def search_path(app: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The variable that lets an app find the packages in its own folder, if it has some."""
    packages = app / PACKAGES
    if not packages.is_dir():
        return {}
    given = settings.get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{packages}{os.pathsep}{given}" if given else str(packages)}


async def made(app: Path, folder: Path) -> str:
    """The interpreter of an environment below `folder`, made from the app's requirements.txt unless it is there already.

    Raises ConfigurationError with what pip says.
    """
    place, wanted = await asyncio.to_thread(_place, app, folder)
    python, complete, listed = place / "bin" / "python", place / "complete", place / _REQUIREMENTS
    if not wanted:
        return str(python)
    log.info("%s has no environment; one is made from its %s, which may take a minute.", app, _REQUIREMENTS)
    base = await asyncio.to_thread(interpreter.for_venv)
    await _run(app, base, "-m", "venv", str(place))
    await asyncio.to_thread(listed.write_bytes, wanted)
    await _run(app, str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "-r", str(listed), _RUNTIME, cwd=app)
    await asyncio.to_thread(complete.touch)
    return str(python)


def _place(app: Path, folder: Path) -> tuple[Path, bytes]:
    """Where the app's environment is, and what must be installed there; nothing if it is complete."""
    requirements = app / _REQUIREMENTS
    wanted = requirements.read_bytes() if requirements.exists() else _WITHOUT_REQUIREMENTS.encode()
    place = (folder / f"{app.name}-{hashlib.sha256(wanted).hexdigest()[:12]}").absolute()
    if (place / "complete").exists():
        return place, b""
    shutil.rmtree(place, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place, wanted or b"\n"


async def _run(app: Path, *command: str, cwd: Path | None = None) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        said = output.decode(errors="replace")[-_LONGEST_REASON:].strip()
        raise ConfigurationError([f"{app} has no environment, and none can be made: {said}. Make one in {app / '.venv'}, or fix this."])
