"""Where the peers live: a virtual environment of their own in the cache of this user, so that their dependencies and ours never meet."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path

#: Not in the checkout, so that a fresh one does not install everything again.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "automation-bridge" / "bench"
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
#: Checkouts with other requirements, and other Pythons, have an environment of their own.
HOME = CACHE / f"peers-{hashlib.sha256(sys.version.encode() + REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
PYTHON = HOME / "bin" / "python"
NAMES = "celery", "dramatiq", "saq", "taskiq", "taskiq-redis", "redis", "nats-py", "restate-sdk"
LONGEST = 600.0  #: seconds an installation may take


class Missing(Exception):
    """What a row needs is not here; the message says how to get it."""


async def redis() -> None:
    """Raises Missing if there is no Redis on this machine."""
    if shutil.which("redis-server") is None:
        raise Missing("redis-server is not on PATH; on Debian and Ubuntu: apt-get install redis-server")


async def prepare(home: Path = HOME, requirements: Path = REQUIREMENTS) -> None:
    """Install what is missing in the virtual environment `home`. Raises Missing."""
    mark = home / ".installed"
    wanted = await asyncio.to_thread(requirements.read_text)
    if mark.exists() and mark.read_text() == wanted:
        return
    await install(sys.executable, "-m", "venv", "--clear", str(home))
    quick = ("--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20")
    await install(str(home / "bin" / "python"), "-m", "pip", "install", *quick, "-r", str(requirements))
    mark.write_text(wanted)


async def peers() -> None:
    """Install the peers and the clients of the durable engines. Raises Missing."""
    await prepare()


async def install(*command: str, environment: Mapping[str, str] | None = None, longest: float = LONGEST) -> None:
    """Run a program that installs something. Raises Missing with the last line of what it said."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, env={**os.environ, **(environment or {})})
    try:
        said, _ = await asyncio.wait_for(process.communicate(), longest)
    except TimeoutError:
        raise Missing(f"`{' '.join(command)}` took more than {longest:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise Missing(f"`{' '.join(command)}` failed: {' '.join(last)}")


async def versions() -> dict[str, str]:
    """What is installed there, by name."""
    code = f"import importlib.metadata as m; print(*(m.version(name) for name in {NAMES!r}))"
    process = await asyncio.create_subprocess_exec(str(PYTHON), "-c", code, stdout=PIPE)
    said, _ = await process.communicate()
    return dict(zip(NAMES, said.decode().split(), strict=False))
