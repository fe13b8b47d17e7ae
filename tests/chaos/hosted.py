"""The functions host beside a bridge, which is killed like everything else, and what its functions were given.

Its functions are in Python and, where there is a pwsh, in PowerShell; in C#, too, if the place asks for it and there is a .NET.
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

from bridge.local.functions.rpc import dotnetapp
from tests.acceptance.bridge_process import HERE, BridgeProcess
from tests.chaos.wishes import CSHARP, WISHES, ReplayRequest
from tests.local.functions import dotnet_kit
from tests.local.functions.powershell_kit import pwsh

APPS = Path(__file__).parent / "apps"
CSHARP_CATALOGUE = Path(__file__).parent / "csharp.yaml"
APP = "worker-functions"  #: the name of the app in Python
_PYTHON, _POWERSHELL = "work/worker", "pair/worker"  #: the subscriptions that the apps receive from
PATIENCE = 60  #: seconds until a host is ready


@dataclass
class FunctionsHost:
    """That of a bridge, which starts it again whenever it has ended."""

    bridge: BridgeProcess

    @classmethod
    def beside_with_csharp(cls, bridge: BridgeProcess) -> FunctionsHost:
        """As `beside`, with the C# function of its own automation where there is a .NET.

        Only where there is one bridge: one without a functions host beside it refuses an automation that `completes: settled`.
        """
        if (dotnet := dotnet_kit.runner()) is None:
            return cls.beside(bridge)
        apps, catalogue = bridge.data_dir.with_name("apps"), bridge.data_dir.with_name("automations.yaml")
        apps.mkdir(parents=True)
        for each in APPS.iterdir():
            (apps / each.name).symlink_to(each)
        dotnet_kit.copy_app("servicebus", apps / "csharp")
        (apps / "csharp" / "host.json").write_text(json.dumps({"version": "2.0", "functions": ["TopicText"]}))
        shared = HERE / "automations.yaml"
        catalogue.write_text(f"{shared.read_text()}---\n{CSHARP_CATALOGUE.read_text()}")
        bridge.config = bridge.config.replace(str(shared), str(catalogue))
        bridge.environment[dotnetapp.VARIABLE] = dotnet
        return cls.beside(bridge, apps=apps)

    @classmethod
    def beside(cls, bridge: BridgeProcess, connection_string: Path | None = None, *, apps: Path = APPS) -> FunctionsHost:
        """Let a bridge that is not started yet have one; it reaches the namespace by a file, else as the bridge's settings say already."""
        bridge.config += f"functions: '{apps}'\nfunctions_port: 0\n"
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

    @property
    def wishes(self) -> Sequence[ReplayRequest]:
        """What can be asked for."""
        return (*WISHES, CSHARP) if dotnetapp.VARIABLE in self.bridge.environment else WISHES

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
