"""Programs in other languages with Azure's own clients in them. What they need is fetched once, into ~/.cache/automation-bridge."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "automation-bridge" / "servicebus"
FETCHING, RUNNING = 300, 240  #: seconds that installing, or a list of scenarios, may take


class Missing(Exception):
    """A program cannot be made on this machine; the message says why."""


def missing(reason: str) -> NoReturn:
    """Skip a test; where every client is promised, fail it."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


async def javascript() -> tuple[list[str | Path], dict[str, str]]:
    """The words that run the scenarios with `@azure/service-bus`, and what they need in the environment. Raises Missing."""
    node = _tool("node")
    folder = await _made("javascript", ("package.json", "package-lock.json"), _install)
    return [node, HERE / "javascript" / "scenarios.cjs"], {"NODE_PATH": str(folder / "node_modules")}


async def go() -> Path:
    """The program with `azservicebus`. Raises Missing."""
    return await _made("go", sorted(path.name for path in (HERE / "go").iterdir()), _build) / "client"


async def said(command: Sequence[str | Path], connection_string: str, **environment: str) -> str:
    """What a program wrote to either of its outputs. Raises TimeoutError when it does not end, and then it is killed."""
    asked = {**os.environ, **environment, "CONNECTION_STRING": connection_string}
    return (await _ended(command, HERE, asked, RUNNING))[1]


def _tool(name: str) -> str:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin"])
    found = shutil.which(name, path=places)
    if found is None:
        raise Missing(f"{name} is not on this machine")
    return found


async def _made(language: str, sources: Sequence[str], make: Callable[[Path, Path], Awaitable[None]]) -> Path:
    """A folder in the cache that was made from these very sources; one that is interrupted leaves none."""
    folder = HERE / language
    key = hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in sources)).hexdigest()[:16]
    found = CACHE / f"{language}-{key}"
    if not found.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".new-") as new:
            (Path(new) / "made").mkdir()
            await make(folder, Path(new) / "made")
            if not found.is_dir():
                (Path(new) / "made").rename(found)
    return found


async def _install(folder: Path, made: Path) -> None:
    npm = _tool("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder / name, made)
    await _work([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], made)


async def _build(folder: Path, made: Path) -> None:
    await _work([_tool("go"), "build", "-mod=readonly", "-trimpath", "-o", made / "client", "."], folder)


async def _work(command: Sequence[str | Path], folder: Path) -> None:
    code, told = await _ended(command, folder, {**os.environ}, FETCHING)
    if code:
        raise Missing(f"`{' '.join(map(str, command[:2]))}` failed, so there is no client: {told.strip()[-300:]}")


async def _ended(command: Sequence[str | Path], folder: Path, environment: dict[str, str], seconds: float) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(seconds):
            told = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, told
