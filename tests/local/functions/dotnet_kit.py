"""The .NET for tests, and copies of the apps in `shared/dotnet-functions`."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from bridge.local.functions.rpc import dotnetapp
from tests import sharedtools

NEEDED = "there is no dotnet: name one in BRIDGE_DOTNET, or put dotnet-functions and pwsh beside the checkout"


@cache
def runner() -> str | None:
    """What runs the apps: the `dotnet` that `BRIDGE_DOTNET` names, else `run` of the tool, on the .NET inside PowerShell."""
    if named := os.environ.get(dotnetapp.VARIABLE):
        return named
    tool = sharedtools.find("dotnet-functions")
    return str(tool / "run") if tool is not None and sharedtools.find("pwsh") is not None else None


def copy_app(name: str, target: Path) -> None:
    """Copy one of the apps: plain, aspnet or servicebus."""
    tool = sharedtools.find("dotnet-functions")
    assert tool is not None
    shutil.copytree(tool / "apps" / name, target)
