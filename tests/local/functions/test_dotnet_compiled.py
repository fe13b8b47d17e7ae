"""A C# app that the SDK's generators have not touched: it is compiled here, by the compiler inside PowerShell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import aiohttp
import pytest

from bridge.local.functions.rpc import dotnetapp, workerconfig

from . import dotnet_kit
from .conftest import Hosts, need
from .powershell_kit import pwsh

_SOURCES = Path(__file__).parent / "csharp"
_FUNCTION = {
    "name": "Place",
    "scriptFile": "Orders.dll",
    "entryPoint": "Orders.Functions.Place",
    "language": dotnetapp.LANGUAGE,
    "bindings": [
        {"name": "request", "type": "httpTrigger", "direction": "In", "authLevel": "Anonymous", "methods": ["post"], "route": "orders"},
        {"name": "$return", "type": "http", "direction": "Out"},
    ],
}


def _compiled(app: Path) -> None:
    """Put the compiled app in the place of the plain one, whose libraries it uses."""
    dotnet_kit.copy_app("plain", app)
    program = ["-NoProfile", "-File", str(_SOURCES / "compile.ps1"), "-Source", str(_SOURCES / "Orders.cs"), "-References", str(app)]
    done = subprocess.run([str(pwsh()), *program, "-Out", str(app / "Orders.dll")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for each in (workerconfig.FILE, "PlainApp.deps.json", "PlainApp.runtimeconfig.json", dotnetapp.METADATA):
        content = (app / each).read_text().replace("PlainApp", "Orders")
        (app / each).unlink()
        (app / each.replace("PlainApp", "Orders")).write_text(content if each != dotnetapp.METADATA else json.dumps([_FUNCTION]))


async def test_functions_that_a_file_describes_get_their_request_and_their_body(
    tmp_path: Path, data_dir: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, http: aiohttp.ClientSession
) -> None:
    need(dotnet_kit.runner() is not None and pwsh() is not None, dotnet_kit.NEEDED)
    monkeypatch.setenv(dotnetapp.VARIABLE, str(dotnet_kit.runner()))
    _compiled(tmp_path / "apps" / "orders")
    host = hosts.start(data_dir, tmp_path / "apps", tmp_path / "host.json")
    url = json.loads((host.data_dir / "functions.json").read_text())["orders-functions"]["url"]

    for count, status, said in (2, 201, "2 of lamp"), (10, 409, "lamp is out of stock"):
        async with http.post(f"{url}/api/orders", json={"item": "lamp", "count": count}) as answer:
            assert (answer.status, await answer.text()) == (status, said)
