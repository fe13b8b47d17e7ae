"""Starts a bridge and its functions host as child processes in a temporary folder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from bridge.cli.functions_host import ENDED
from bridge.client import BridgeClient
from bridge.local.freeports import free_ports

HOME = Path(".bridge/demo")
LONGEST_START = 40.0  #: seconds until requests and functions must be ready
LONGEST_STOP = 25.0  #: seconds between SIGTERM and SIGKILL; the bridge drains 10 s, then the functions host does
_KEPT = frozenset({"BRIDGE_DAPRD", "BRIDGE_FUNCTIONS_PYTHON", "BRIDGE_PWSH", "BRIDGE_DOTNET"})


class NotReady(Exception):
    """The bridge or its functions did not start. The last lines of their logs give the reason."""


@asynccontextmanager
async def running(functions: Path, runtime: str = "embedded", apps: int = 1) -> AsyncIterator[str]:
    """A running bridge with the functions of the folder. Yields its URL when `apps` apps are ready. Raises NotReady."""
    if not (functions / "automations.yaml").is_file():
        raise NotReady(
            f"{functions / 'automations.yaml'} is not here. Run the demo in the project's folder, or name it with --functions DIR."
        )
    with _folder() as folder:
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        process = await _start(functions, folder, url, runtime)
        try:
            await _ready(process, folder, url, apps)
            yield url
        finally:
            await _stop(process)


@contextmanager
def _folder() -> Iterator[Path]:
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=HOME, prefix="run-", ignore_cleanup_errors=True) as name:
            yield Path(name).absolute()
    finally:
        for emptied in (HOME, HOME.parent):
            with suppress(OSError):
                emptied.rmdir()


async def _start(functions: Path, folder: Path, url: str, runtime: str) -> Process:
    """Start `bridge up` with its own settings, so that neither the environment nor a bridge.yaml affects the demo."""
    settings = {
        "port": int(url.rpartition(":")[2]),
        "data_dir": str(folder),
        "runtime": runtime,
        "with_sidecar": runtime == "dapr",
        "functions": str(functions),
        "functions_port": 0,
        "catalogue": str(functions / "automations.yaml"),
        "resiliency": str(functions / "resiliency.yaml"),
    }
    config = folder / "bridge.yaml"
    config.write_text(json.dumps(settings))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_") or name in _KEPT}
    with (folder / "bridge.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "up", "--config", str(config)),
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


async def _ready(process: Process, folder: Path, url: str, apps: int) -> None:
    try:
        async with asyncio.timeout(LONGEST_START), BridgeClient(url) as client:
            while not (_functions_known(folder, apps) and await client.ready()):
                if process.returncode is not None:
                    raise NotReady(f"The bridge ended with exit code {process.returncode}.\n{_logs(folder)}")
                if ENDED in (folder / "bridge.log").read_text("utf-8", errors="replace"):
                    raise NotReady(f"The functions host could not start.\n{_logs(folder)}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise NotReady(f"The bridge and its functions were not ready within {LONGEST_START:g} s.\n{_logs(folder)}") from None


def _functions_known(folder: Path, apps: int) -> bool:
    try:
        return len(json.loads((folder / "functions.json").read_text())) >= apps
    except (OSError, ValueError):
        return False


def _logs(folder: Path) -> str:
    """The last lines of both logs."""
    parts = []
    for name in ("bridge.log", "functions.log", "daprd.log"):
        path = folder / name
        lines = path.read_text("utf-8", errors="replace").splitlines()[-15:] if path.is_file() else []
        parts += [f"{name}:", *(f"  {line}" for line in lines)]
    return "\n".join(parts)


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LONGEST_STOP)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
