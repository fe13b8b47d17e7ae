"""Azure's own .NET client, the one inside the Functions host, against `bridge local servicebus`: all scenarios of its list."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests import sharedtools
from tests.acceptance.namespace_process import NamespaceProcess

SCENARIOS = 70
MINUTES = 8  #: that the list may take; it waits for locks to end, so it takes two where nothing else runs


def tool() -> Path:
    """The program that runs the list, with the PowerShell that it runs in. Skips where either is missing."""
    folder = os.environ.get("SERVICEBUS_DOTNET") or sharedtools.find("servicebus-dotnet")
    need(folder is not None, "the list of Azure's .NET client is not there; set SERVICEBUS_DOTNET to its folder")
    need("PWSH" in os.environ or sharedtools.find("pwsh") is not None, "there is no PowerShell 7.6; name it in PWSH")
    return Path(str(folder)) / "servicebus-dotnet"


def need(found: bool, reason: str) -> None:
    """Skip where a tool is missing; where all of them are promised, fail."""
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


async def test_every_scenario_of_the_dotnet_client_passes(tmp_path: Path) -> None:
    program = tool()
    async with NamespaceProcess(tmp_path / "data", program.parent / "entities.json") as namespace:
        process = await asyncio.create_subprocess_exec(program, namespace.connection_string, "--all", stdout=PIPE, stderr=STDOUT)
        try:
            async with asyncio.timeout(MINUTES * 60):
                said = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert [line for line in said.splitlines() if not line.startswith("ok ")] == [f"{SCENARIOS} passed, 0 failed"]
