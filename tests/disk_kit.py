"""A disk that fails or is slow when it is asked to keep something: strace changes what the system calls of a running process do."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

FAILS = "error=EIO"


def slow(seconds: float) -> str:
    return f"delay_enter={seconds * 1_000_000:.0f}"


@asynccontextmanager
async def syncing(pid: int, how: str, calls: str = "fsync,fdatasync") -> AsyncIterator[None]:
    """Every fsync and fdatasync of the process, or these other calls, fails or is slow, as long as the context is open.

    Skips the test where strace is missing or may not attach, unless it is required that nothing is skipped (CI).
    """
    program = shutil.which("strace")
    if program is None:
        _do_without("strace is not installed (Debian and Ubuntu: apt-get install strace)")
    command = (program or "", "-f", "-o", "/dev/null", "-e", f"inject={calls}:{how}", "-p", str(pid))
    tracer = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=PIPE)
    assert tracer.stderr is not None
    said = ""
    while line := (await tracer.stderr.readline()).decode():
        said += line
        if "attached" in line:
            break
    else:
        _do_without(f"strace cannot attach to a process here: {said.strip()}")
    try:
        yield
    finally:
        if tracer.returncode is None:
            tracer.send_signal(signal.SIGINT)
        await tracer.communicate()


def _do_without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
