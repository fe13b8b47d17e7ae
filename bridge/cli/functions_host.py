"""Runs the local functions host beside a bridge, in a process that is restarted whenever it ends, and reports why it ended."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.cli.screen import Screen
from bridge.local.freeports import free_ports
from bridge.local.functions import apps, crashpoints
from bridge.local.functions.appsettings import SECRETS
from bridge.local.functions.options import CANNOT_START, START_REFUSED
from bridge.local.supervisor import LONGEST_PAUSE, Ended, Supervisor
from bridge.settings import Settings

ENDED = "The functions host ended"  #: the words with which the report of an end begins


@asynccontextmanager
async def running(found: Settings, screen: Screen) -> AsyncIterator[None]:
    """Keep the functions host running while the context is open, if the settings ask for one."""
    if found.functions is None:
        yield
        return
    for name in named_twice(found.functions, found.function_apps):
        screen.note(
            f"{name} is in function_apps and a folder of {found.functions}: the bridge calls the address in function_apps. "
            "Rename one of them, or remove one.",
            "yellow",
        )
    log = log_of(found)
    ended = Teller(screen, log).ended
    only_first = {crashpoints.VARIABLE, crashpoints.WORKER_VARIABLE}
    environment = {**without_secrets(os.environ, found), "BRIDGE_LOG_FORMAT": found.log_format}
    async with Supervisor(command(found, found.functions), log=log, ended=ended, only_first=only_first, environment=environment):
        yield


def named_twice(folder: Path, configured: Container[str]) -> list[str]:
    """The local apps whose names the settings also give to apps elsewhere."""
    folders = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return [apps.name_of(each) for each in folders if apps.name_of(each) in configured and apps.language_of(each) is not None]


def without_secrets(environ: Mapping[str, str], found: Settings) -> dict[str, str]:
    """The environment without the secrets of the bridge: the tokens of its sidecar, and the keys of function apps elsewhere."""
    hidden = {*SECRETS, *(app.key_env for app in found.function_apps.values() if app.key_env)}
    return {name: value for name, value in environ.items() if name not in hidden}


def addressed(found: Settings) -> Settings:
    """The settings with the URL at which local functions reach the bridge: `public_url`, or else the address of the API.

    If the port is 0, a free one is chosen here, because the host starts before the bridge listens.
    """
    if found.functions is None or found.public_url:
        return found
    port = found.port or free_ports(1)[0]
    host = f"[{found.host}]" if ":" in found.host else found.host
    return found.model_copy(update={"port": port, "public_url": f"http://{host}:{port}"})


def log_of(found: Settings) -> Path:
    """The log file of the host and its functions."""
    return found.data_dir / "functions.log"


def command(found: Settings, folder: Path) -> list[str]:
    """The command that starts the local functions host. The host ends by itself when this process has ended."""
    options: Mapping[str, object] = {
        "--apps": folder,
        "--data-dir": found.data_dir,
        "--port": found.functions_port,
        "--parent": os.getpid(),
        "--log": log_of(found),
        "--public-url": found.public_url or "",
    }
    if found.servicebus is not None and found.servicebus.namespace is not None:
        options = {**options, "--servicebus-namespace": found.servicebus.namespace}
    elif found.servicebus is not None:
        options = {**options, "--servicebus-connection-string-file": found.servicebus.connection_string_file}
    flags = ["--timers"] if found.timers else []
    return [sys.executable, "-m", "bridge.local.functions", *flags, *(str(word) for pair in options.items() for word in pair)]


class Teller:
    """Reports why the host ended, and does not repeat the same reason."""

    def __init__(self, screen: Screen, log: Path) -> None:
        self._screen, self._log = screen, log
        self._told = ""

    def ended(self, end: Ended) -> None:
        """Report one end, unless the one before it had the same reason."""
        why = _refusal(end) or f"{ENDED} with exit code {end.code}. It starts again by itself."
        if end.times > 1 and why == self._told:
            return
        self._told = why
        self._screen.note(f"{why} See {self._log}", "yellow")


def _refusal(end: Ended) -> str:
    """The reason why the host cannot start, and what to do; empty if the host gave none."""
    _, found, reasons = end.output.rpartition(CANNOT_START)
    if end.code != START_REFUSED or not found:
        return ""
    return f"{ENDED}, because it cannot start:\n{reasons.strip()}\nFix this; it is retried at least every {LONGEST_PAUSE:g} s."
