"""The machine that the figures hold for."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import shutil
import sqlite3
from asyncio.subprocess import PIPE
from pathlib import Path

OURS = ("aiohttp", "httptools", "pydantic", "starlette", "uvicorn", "uvloop")


def facts() -> dict[str, str]:
    """What it is, in words."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in OURS)
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": f"{versions}, SQLite {sqlite3.sqlite_version}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


async def program(name: str) -> str:
    """What a program says of its version, or that it is not here."""
    if shutil.which(name) is None:
        return "not found"
    process = await asyncio.create_subprocess_exec(name, "--version", stdout=PIPE)
    said, _ = await process.communicate()
    return said.decode().strip()
