"""The functions host beside a bridge, which is killed like everything else, and what its functions were given.

Its functions are in Python and, where there is a pwsh, in PowerShell.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.bridge_process import BridgeProcess
from tests.local.functions.powershell_kit import pwsh

APPS = Path(__file__).parent / "apps"
APP = "worker-functions"  #: the name of the app in Python
_PYTHON, _POWERSHELL = "work/worker", "pair/worker"  #: the subscriptions that the apps receive from
PATIENCE = 60  #: seconds until a host is ready


@dataclass
class FunctionsHost:
    """That of a bridge, which starts it again whenever it has ended."""

    bridge: BridgeProcess

    @classmethod
    def beside(cls, bridge: BridgeProcess, connection_string: Path | None = None) -> FunctionsHost:
        """Let a bridge that is not started yet have one; it reaches the namespace by a file, else as the bridge's settings say already."""
        bridge.config += f"functions: '{APPS}'\nfunctions_port: 0\n"
        if connection_string is not None:
            bridge.config += f"servicebus: {{connection_string_file: '{connection_string}'}}\n"
        bridge.environment["EFFECTS"] = str(bridge.data_dir.with_name("effects"))
        if (found := pwsh()) is not None:
            bridge.environment["BRIDGE_PWSH"] = found
        return cls(bridge)

    @property
    def subscriptions(self) -> frozenset[str]:
        """Those that it receives from."""
        return frozenset({_PYTHON, _POWERSHELL} if "BRIDGE_PWSH" in self.bridge.environment else {_PYTHON})

    def worked(self) -> Iterable[tuple[str, str]]:
        """The invocation of every message that a function was given, and what tells messages of one invocation apart."""
        for written in (self.bridge.environment["EFFECTS"], f"{self.bridge.environment['EFFECTS']}.scripts"):
            effects = Path(written)
            for line in effects.read_text().splitlines() if effects.exists() else ():
                invocation, _, number = line.rpartition(" ")
                yield invocation, number

    async def end(self, how: str) -> None:
        """End the host, or its workers, with the signal that `how` names."""
        host = await self.ready()
        number = signal.SIGTERM if "SIGTERM" in how else signal.SIGKILL
        for process in _children(host) if "worker" in how else [host]:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    async def ready(self) -> int:
        """The process id of the host, as soon as one is ready."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(OSError, ValueError, KeyError):
                    process: int = json.loads((self.bridge.data_dir / "functions.json").read_text())[APP]["pid"]
                    os.kill(process, 0)
                    return process
                await asyncio.sleep(0.05)


def _children(process: int) -> Sequence[int]:
    return [int(each) for task in Path(f"/proc/{process}/task").glob("*/children") for each in task.read_text().split()]
