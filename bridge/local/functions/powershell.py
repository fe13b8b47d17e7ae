"""Finds PowerShell and says how the worker of a PowerShell app is started."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import functionjson
from bridge.local.functions.worker import WorkerProgram

VARIABLE = "BRIDGE_PWSH"
_USUAL_PLACES = (
    "/opt/microsoft/powershell/7",
    "/usr/bin",
    "/usr/local/bin",
    "/snap/bin",
    "/opt/homebrew/bin",
    "/usr/local/microsoft/powershell/7",
    "~/.dotnet/tools",
    "~/.local/bin",
)
_SCRIPT = Path(__file__).parent / "workers" / "psworker" / "worker.ps1"
_QUIET = {
    "POWERSHELL_TELEMETRY_OPTOUT": "1",
    "POWERSHELL_UPDATECHECK": "Off",
    "POWERSHELL_DIAGNOSTICS_OPTOUT": "1",  # this and the next: otherwise every process of this user could attach to the worker
    "AZUREPS_CHECK_FOR_UPGRADE": "False",
    "DOTNET_EnableDiagnostics": "0",
    "DOTNET_TieredPGO": "0",  # costs at the start, and a worker is restarted more often than it would pay
    "DOTNET_GCgen0size": "0x1000000",  # 16 MiB; else as large as the cache of the processor, which may have hundreds
}


class NoPowerShell(ConfigurationError):
    """There is no `pwsh` on this machine, so its PowerShell apps cannot run; apps in other languages can."""


def find(environment: Mapping[str, str] = os.environ) -> str:
    """The `pwsh` that `BRIDGE_PWSH` names, else that on PATH or in the usual places.

    Raises NoPowerShell if there is none, and ConfigurationError if what the variable names is no program.
    """
    if named := environment.get(VARIABLE, ""):
        if found := shutil.which(named):
            return str(Path(found).absolute())
        raise ConfigurationError([f"{VARIABLE} is {named}, which is not a program; it must name pwsh of PowerShell 7.4 or later."])
    for found in _candidates(environment):
        return found
    raise NoPowerShell(
        [f"There is no pwsh, and it runs the PowerShell functions. Install PowerShell 7.4 or later, or name it in {VARIABLE}."]
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[str]:
    folders = [environment.get("PATH", ""), *(str(Path(place).expanduser()) for place in _USUAL_PLACES)]
    yield from (found for folder in folders if (found := shutil.which("pwsh", path=folder)))


def _version() -> str:
    """What tells one version of the worker's C# files from another, and so one compiled worker in the cache."""
    sources = sorted(_SCRIPT.parent.glob("*.cs"))
    return hashlib.sha256(b"\0".join(each.read_bytes() for each in sources)).hexdigest()[:32]


def program(pwsh: str, app: Path, settings: Mapping[str, str]) -> WorkerProgram:
    """The worker of the app in `app`, which has `settings`."""
    functions, _ = functionjson.read_all(app)
    environment = {
        # Azure's host sets this when the app does not (DefaultWorkerProcessFactory.ApplyWorkerConcurrencyLimits).
        "PSWorkerInProcConcurrencyUpperBound": "1000",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        **_QUIET,
        **settings,
        "FUNCTIONS_WORKER_RUNTIME": "powershell",
        "FUNCTIONS_APPLICATION_DIRECTORY": str(app),
        "AzureWebJobsScriptRoot": str(app),
    }
    command = [pwsh, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", str(_SCRIPT), _version()]
    return WorkerProgram(command, app, environment, app, over_socket=True, functions=[each.described() for each in functions])
