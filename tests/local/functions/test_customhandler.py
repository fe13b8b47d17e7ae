"""Custom handlers as real programs behind the host."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .conftest import CHECKOUT, Host, Hosts, wait_until

HANDLER = """
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.readline()
        answer = {"Outputs": {"res": {"body": str(os.getpid())}, "rows": "four"}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler).serve_forever()
"""
BINDINGS = [
    {"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous"},
    {"type": "http", "direction": "out", "name": "res"},
    {"type": "table", "direction": "out", "name": "rows", "tableName": "t"},
]
StartApp = Callable[..., Host]


@pytest.fixture
def start_app(tmp_path: Path, hosts: Hosts) -> StartApp:
    """Starts a host for one app with the function F, whose handler answers its process id."""

    def start(host_json: dict[str, Any], handler: str = HANDLER) -> Host:
        app = tmp_path / "apps" / "own"
        (app / "F").mkdir(parents=True)
        (app / "handler.py").write_text(handler)
        (app / "F" / "function.json").write_text(json.dumps({"bindings": BINDINGS}))
        (app / "host.json").write_text(json.dumps({"version": "2.0", **host_json}))
        return hosts.start(tmp_path, tmp_path / "apps", CHECKOUT / "host.json")

    return start


def described(**description: Any) -> dict[str, Any]:
    return {"customHandler": {"description": {"defaultExecutablePath": sys.executable, "defaultWorkerPath": "handler.py", **description}}}


async def answer(host: Host) -> str:
    entry = json.loads((host.data_dir / "functions.json").read_text())["own-functions"]
    async with aiohttp.ClientSession() as http, http.get(f"{entry['url']}/api/F") as answered:
        return await answered.text()


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


async def test_an_output_that_cannot_be_sent_is_named_with_its_size_and_the_answer_stands(start_app: StartApp) -> None:
    host = start_app(described())

    assert (await answer(host)).isdecimal()
    host.wait_for_log("OutputNotSent: F set 4 bytes on rows")


async def test_no_handler_outlives_a_host_that_was_killed(start_app: StartApp) -> None:
    host = start_app(described())
    handler = int(await answer(host))

    host.process.kill()

    wait_until(lambda: gone(handler), "the end of the handler")


async def test_no_handler_outlives_a_host_that_stops(start_app: StartApp) -> None:
    host = start_app(described())
    handler = int(await answer(host))

    assert host.stop() == 0
    wait_until(lambda: gone(handler), "the end of the handler")


ENDING = """
import http.server, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        subprocess.Popen(["sleep", "30"], start_new_session=True)
        sys.stderr.write("the last words")
        sys.stderr.flush()
        os._exit(int(os.environ["CODE"]))

http.server.HTTPServer(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize(("code", "in_azure"), [("0", "would not start it again after a 0"), ("3", "would end at the third time")])
async def test_a_handler_that_ends_is_started_again_and_the_log_says_what_azure_does(
    start_app: StartApp, monkeypatch: pytest.MonkeyPatch, code: str, in_azure: str
) -> None:
    monkeypatch.setenv("CODE", code)
    host = start_app(described(), ENDING)

    await answer(host)

    host.wait_for_log(f"the handler ended with exit code {code}; Azure's host {in_azure}")
    assert "| the last words" in host.log
    host.wait_for_log("a worker is running again")


@pytest.mark.parametrize(
    ("host_json", "problem"),
    [
        (
            described(defaultExecutablePath="no-such-program"),
            "no-such-program, which defaultExecutablePath of host.json names, is neither in",
        ),
        ({"customHandler": {}}, "customHandler.description.defaultExecutablePath is missing"),
        ({**described(), "version": "1.0"}, 'needs "version": "2.0"'),
    ],
)
def test_what_cannot_start_is_refused_in_words(start_app: StartApp, host_json: dict[str, Any], problem: str) -> None:
    host = start_app(host_json)

    assert host.process.wait(timeout=20) == 2
    assert problem in host.log
