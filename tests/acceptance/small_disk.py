"""A disk of a few MB for a data directory: a tmpfs in a mount namespace of its own, so that neither root nor cleaning up is needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.bridge_process import ROOT


@dataclass(frozen=True)
class SmallDisk:
    """`path` is where it is for a process started with `prefix`; `seen` is the same folder for everybody else."""

    path: Path
    seen: Path
    prefix: tuple[str, ...]

    def fill(self) -> None:
        """Take every byte that is left with a file named ballast."""
        ballast = os.open(self.seen / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while os.write(ballast, bytes(size)) == size:
                    pass
        os.close(ballast)

    def free(self) -> None:
        """Take the ballast away."""
        (self.seen / "ballast").unlink()


@asynccontextmanager
async def small_disk(path: Path, megabytes: int) -> AsyncIterator[SmallDisk]:
    """Skips the test where this system gives nobody a namespace, unless it is required that nothing is skipped (CI)."""
    path.mkdir()  # noqa: ASYNC240 - a test waits for nothing else
    script = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && echo mounted && exec cat'
    command = ("unshare", "--map-root-user", "--mount", "sh", "-c", script, "-", str(megabytes), str(path))
    try:
        holder = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    except FileNotFoundError:
        _do_without("unshare is not installed")
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    if await holder.stdout.readline() != b"mounted\n":
        _do_without((await holder.stderr.read()).decode().strip())
    enter = ("nsenter", f"--target={holder.pid}", "--user", "--preserve-credentials", "--mount", f"--wd={ROOT}")
    try:
        yield SmallDisk(path, Path(f"/proc/{holder.pid}/root{path}"), enter)
    finally:
        holder.stdin.close()
        await holder.wait()


def _do_without(reason: str) -> None:
    said = f"no small disk can be mounted here: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(said)
    pytest.skip(said)
