"""What `bridge functions package` makes runs: unpacked as Azure unpacks it, in the functions host, behind a bridge."""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import aiohttp

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.cli.commands import bridge
from tests.local.functions import dotnet_kit
from tests.local.functions.conftest import PYTHON, need
from tests.local.functions.powershell_kit import pwsh, write_files

CSHARP = """---
apiVersion: bridge/v1
kind: Automation
metadata: {name: csharp.hello, description: "A C# function"}
spec:
  input: {type: object, required: [name], properties: {name: {type: string}}}
  deadline: 1m
  targets:
  - {name: hello, http: {app: csharp-functions, method: GET, path: /api/Hello, query: {name: /name}}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: handler.echo, description: "A function of a custom handler"}
spec:
  input: {type: object}
  deadline: 1m
  targets:
  - {name: echo, http: {app: handler-functions, path: /api/echo}}
"""
CONFIG = "catalogue: {0}/automations.yaml\nfunctions: {0}/unpacked\nfunctions_port: 0\n"
HANDLER = """#!{python}
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        answer = json.dumps({{"Outputs": {{"res": {{"body": "from the handler"}}}}, "Logs": []}}).encode()
        self.rfile.read(length)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

http.server.HTTPServer(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler).serve_forever()
"""
HOST = {"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "bin/handler"}}}
ECHO = [
    {"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous", "methods": ["post"]},
    {"type": "http", "direction": "out", "name": "res"},
]


def unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = Path(packed.extract(entry, target))
            path.chmod(entry.external_attr >> 16 & 0o777)


def write_sources(source: Path) -> None:
    """The sample apps without the helper modules that they use, a C# app, and a custom handler whose program is no program yet."""
    for name, helpers in {"python": ["bridge_result.py", "bridge_invocation.py"], "powershell": ["Modules"]}.items():
        shutil.copytree(ROOT / "functions" / name, source / name, ignore=shutil.ignore_patterns("__pycache__", *helpers))
    dotnet_kit.copy_app("plain", source / "csharp")
    files = {"host.json": json.dumps(HOST), "echo/function.json": json.dumps({"bindings": ECHO})}
    write_files(source / "handler", {**files, "bin/handler": HANDLER.format(python=PYTHON)})


async def outcome(http: aiohttp.ClientSession, automation: str, order: Any) -> Any:
    path, headers = f"/v1/automations/{automation}/requests", {"Prefer": "wait=50"}
    async with http.post(path, json=order, headers=headers) as answer:
        run = await answer.json()
        assert run["status"] == "Succeeded", run
        return run["output"]


async def test_packages_in_every_language_run_with_the_helpers_that_they_were_given(tmp_path: Path) -> None:
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    need(PYTHON.exists(), f"{PYTHON} does not exist; `make setup` makes it")
    source, unpacked = tmp_path / "source", tmp_path / "unpacked"
    write_sources(source)
    for app in ("python", "powershell", "csharp", "handler"):
        made = await asyncio.to_thread(bridge, "functions", "package", str(source / app), "--out", str(tmp_path))
        assert made.exit_code == 0, made.output
        unpack(tmp_path / f"{app}-functions.zip", unpacked / app)
        if (settings := source / app / "local.settings.json").is_file():
            shutil.copy(settings, unpacked / app)  # what is a setting of the app in Azure
    (tmp_path / "automations.yaml").write_text((ROOT / "functions" / "automations.yaml").read_text() + CSHARP)
    programs = {"BRIDGE_PWSH": str(pwsh()), "BRIDGE_DOTNET": str(dotnet_kit.runner()), "BRIDGE_FUNCTIONS_PYTHON": str(PYTHON)}
    settings = {"TICK_SCHEDULE": "0 0 0 1 1 *"}
    async with (
        BridgeProcess(tmp_path / "data", CONFIG.format(tmp_path), (), {**programs, **settings}) as running,
        aiohttp.ClientSession(running.url) as http,
    ):
        outcomes = await asyncio.gather(
            outcome(http, "table.summarize", {"csv": "cost\n7\n9\n"}),
            outcome(http, "host.inventory", {}),
            outcome(http, "csharp.hello", {"name": "Ada"}),
            outcome(http, "handler.echo", {}),
        )
    assert outcomes[0]["columns"][0]["name"] == "cost"
    assert outcomes[1]
    assert outcomes[2:] == ["Hello, Ada!", "from the handler"]
