"""Where the peers live: a virtual environment of their own, so that their dependencies and ours never meet."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.benchmarks.process import ROOT

HOME = ROOT / ".cache" / "bench-venv"
PYTHON = HOME / "bin" / "python"
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
LONGEST = 600.0  #: seconds the installation may take


class Missing(Exception):
    """What the peers need is not here; the message says how to get it."""


async def prepare(home: Path = HOME, requirements: Path = REQUIREMENTS) -> None:
    """Install what is missing in the virtual environment `home`. Raises Missing."""
    if shutil.which("redis-server") is None:
        raise Missing("redis-server is not on PATH; on Debian and Ubuntu: apt-get install redis-server")
    mark = home / ".installed"
    wanted = await asyncio.to_thread(requirements.read_text)
    if mark.exists() and mark.read_text() == wanted:
        return
    await _run(sys.executable, "-m", "venv", "--clear", str(home))
    python = str(home / "bin" / "python")
    await _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements))
    mark.write_text(wanted)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), LONGEST)
    except TimeoutError:
        raise Missing(f"`{' '.join(command)}` took more than {LONGEST:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise Missing(f"`{' '.join(command)}` failed: {' '.join(last)}")


async def versions() -> dict[str, str]:
    """What is installed there, by name."""
    names = "celery", "dramatiq", "saq", "taskiq", "taskiq-redis", "redis"
    code = f"import importlib.metadata as m; print(*(m.version(name) for name in {names!r}))"
    process = await asyncio.create_subprocess_exec(str(PYTHON), "-c", code, stdout=PIPE)
    said, _ = await process.communicate()
    return dict(zip(names, said.decode().split(), strict=False))
