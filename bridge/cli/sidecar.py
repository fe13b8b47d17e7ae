"""Runs a sidecar beside a bridge, in a process that is restarted whenever it ends, and reports why it ended."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bridge import app
from bridge.cli.screen import Screen
from bridge.errors import ConfigurationError
from bridge.local import daprd
from bridge.local.supervisor import Ended, Supervisor
from bridge.settings import RuntimeName, Settings

FILE = "sidecar.json"  #: address and token, for who wants to publish through it; readable by its owner only


@asynccontextmanager
async def running(found: Settings, screen: Screen) -> AsyncIterator[Mapping[str, str]]:
    """Keep a sidecar running while the context is open, if the settings ask for one. Yields the variables that the bridge needs.

    Raises ConfigurationError if there is no daprd, the folder is in use, or the settings choose another runtime.
    """
    if not found.with_sidecar:
        yield os.environ
        return
    if found.runtime is not RuntimeName.DAPR:
        raise ConfigurationError(["with_sidecar: only the dapr runtime has a sidecar; add --runtime dapr."])
    sidecar = daprd.Daprd.plan(daprd.find(found.daprd), found.resources, found.data_dir)
    with app.locked(found.data_dir):
        file = found.data_dir / FILE
        _write_private(file, json.dumps({"url": sidecar.address, "token": sidecar.api_token}))
        supervisor = Supervisor(
            sidecar.command(),
            log=sidecar.log,
            ended=lambda end: _tell(end, screen, sidecar.log),
            environment=sidecar.environment(os.environ),
        )
        try:
            async with supervisor:
                yield {**os.environ, **sidecar.known_to_the_bridge()}
        finally:
            file.unlink(missing_ok=True)


def _tell(end: Ended, screen: Screen, log: Path) -> None:
    """Report the end and its reason once. A sidecar that keeps ending for the same reason is not reported again."""
    if end.times == 1:
        fatal = next((line for line in end.output.splitlines() if "level=fatal" in line), "")
        why = f": {fatal}" if fatal else "."
        screen.note(f"The sidecar ended with exit code {end.code}{why} It starts again by itself. See {log}", "yellow")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
