"""Runs the Pester tests beside this file with a real PowerShell, and what needs a server of the bridge's side."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests import sharedtools
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh

HERE = Path(__file__).parent
MODULE = HERE.parents[1] / "functions" / "powershell" / "Modules" / "Automation.Bridge"
QUIET = {"POWERSHELL_TELEMETRY_OPTOUT": "1", "POWERSHELL_UPDATECHECK": "Off", "NO_COLOR": "1"}


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """PowerShell's output for a script that has the module."""
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    command = [str(pwsh()), "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", f"Import-Module '{MODULE}'; {script}"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env={**inherited, **QUIET, **environment})


@pytest.mark.parametrize("tests", sorted(HERE.glob("*.Tests.ps1")), ids=lambda path: path.name)
def test_pester(tests: Path) -> None:
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    has_pester = run("if (Get-Module Pester -ListAvailable | Where-Object Version -ge ([version] '5.0')) { 'yes' }").stdout.strip() == "yes"
    need(has_pester or sharedtools.find("pwsh") is None, "the pwsh has no Pester 5: Install-Module Pester")
    if not has_pester:
        pytest.skip("the pwsh has no Pester 5: Install-Module Pester")
    configuration = f"@{{Run=@{{Path='{tests}';Exit=$true}};Output=@{{Verbosity='Normal';RenderMode='Plaintext'}}}}"
    found = run(f"Invoke-Pester -Configuration {configuration}")
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


class FakeApi(ThreadingHTTPServer):
    """The bridge as a caller or a function sees it: what it was asked, and its answers by method and path, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.heard: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[str, list[tuple[int, dict[str, str], Any]]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.heard]


class _Exchange(BaseHTTPRequestHandler):
    server: FakeApi

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.heard.append((self.command, self.path, headers, json.loads(body) if body else None))
        missing = (404, {}, {"code": "NotFound", "detail": f"There is no {self.path}.", "hint": "Look again."})
        waiting = self.server.answers.get(f"{self.command} {self.path.partition('?')[0]}", [missing])
        status, extra, content = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        encoded = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(encoded)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the names http.server looks for

    def log_message(self, *_: object) -> None:
        """Keep standard error clean."""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def a_run(status: str, **more: Any) -> dict[str, Any]:
    return {
        "correlationId": "order-1",
        "automation": "host.inventory",
        "status": status,
        "createdAt": "2026-11-28T10:00:00Z",
        "updatedAt": "2026-11-28T10:00:00Z",
        "invocations": [],
        **more,
    }


def an_event(url: str) -> str:
    return json.dumps(
        {
            "type": "automation.invoked",
            "id": "order-1/inventory",
            "subject": "host.inventory",
            "correlationid": "order-1",
            "invocationtoken": "the-token",
            "invocationurl": url,
            "data": {},
        }
    )


def test_progress_and_cancel_reach_the_bridge_with_the_token_and_write_progress_does_too(api: FakeApi) -> None:
    api.answers = {
        "POST /i": [(200, {}, {"canceled": False})],
        "GET /i": [(200, {}, {"canceled": True})],
    }
    work = "Write-AutomationProgress 25 'a quarter'; Start-Sleep -Milliseconds 600; "
    work += "Write-Progress Files -Status two -PercentComplete 50; Test-AutomationCanceled"
    found = run(f"Invoke-Automation '{an_event(api.url + '/i')}' {{ {work} }}")
    assert json.loads(found.stdout)["data"] == {"status": "succeeded", "output": True}
    reports = [body["progress"] for method, _, _, body in api.heard if method == "POST"]
    assert reports == [{"percent": 25, "message": "a quarter"}, {"percent": 50, "message": "Files: two"}]
    assert {headers["x-invocation-token"] for _, _, headers, _ in api.heard} == {"the-token"}


def test_a_bridge_that_redirects_gets_no_token_elsewhere_and_does_not_stop_the_work(api: FakeApi) -> None:
    api.answers = {"POST /i": [(307, {"location": f"{api.url}/elsewhere"}, {})]}
    found = run(f"Invoke-Automation '{an_event(api.url + '/i')}' {{ Write-AutomationProgress 5; 'done' }} -WarningAction SilentlyContinue")
    assert '"output":"done"' in found.stdout
    assert api.asked() == ["POST /i"]
    assert "the-token" not in found.stderr


def test_a_submit_that_waits_asks_as_often_as_the_bridge_wants_and_gives_the_typed_run(api: FakeApi) -> None:
    api.answers = {
        "GET /v1/automations": [(200, {}, {"items": []})],
        "POST /v1/automations/host.inventory/requests": [(202, {"retry-after": "0"}, a_run("Pending"))],
        "GET /v1/requests/order-1": [
            (202, {"retry-after": "1"}, a_run("Running", progress={"percent": 50, "message": "half"})),
            (200, {}, a_run("Succeeded", output={"when": "2026-11-28T10:00:00+02:00", "one": [1]})),
        ],
    }
    request = "$request = @{ Name = 'host.inventory'; InputObject = @{ top = 3 }; CorrelationId = 'order-1'; Wait = $true }"
    show = "$run.pstypenames[0], $run.CreatedAt.GetType().Name, $run.Output.when, $run.Output.one.GetType().Name, "
    show += "($run | Out-String -Width 150)"
    found = run(f"Connect-Bridge {api.url} | Out-Null; {request}; $run = Submit-Automation @request; {show}")
    kind, time, when, one, *table = found.stdout.split("\n")
    assert (kind, time, when, one) == ("Automation.Bridge.Run", "DateTime", "2026-11-28T10:00:00+02:00", "Object[]"), found.stderr
    assert "CorrelationId" in "".join(table)
    assert "Invocations" not in "".join(table)
    _method, _, headers, body = next(each for each in api.heard if each[0] == "POST")
    assert (headers["x-correlation-id"], body) == ("order-1", {"top": 3})
    assert api.asked().count("GET /v1/requests/order-1") == 2


def test_what_the_bridge_refuses_is_an_error_with_its_code_and_the_next_object_has_its_turn(api: FakeApi) -> None:
    refused = {
        "code": "InvalidInput",
        "detail": "It does not fit.",
        "hint": "Look at the schema.",
        "errors": [{"pointer": "/top", "detail": "too many"}],
    }
    api.answers = {
        "GET /v1/automations": [(200, {}, {"items": [{"name": "host.inventory"}, {"name": "text.redact"}]})],
        "POST /v1/automations/host.inventory/requests": [(422, {}, refused), (202, {}, a_run("Pending"))],
    }
    submit = "Submit-Automation host.inventory -ErrorVariable e -ErrorAction SilentlyContinue | % Status"
    complete = "[System.Management.Automation.CommandCompletion]::CompleteInput('Submit-Automation te', 20, @{}).CompletionMatches"
    script = f'@{{ top = 1000 }}, @{{ top = 1 }} | {submit}; $e[-1].FullyQualifiedErrorId; "$($e[-1])"; {complete} | % CompletionText'
    found = run(script, BRIDGE_URL=api.url, BRIDGE_TOKEN="my-bearer-token")
    status, code, text, completed = found.stdout.strip().split("\n")
    assert (status, code, completed) == ("Pending", "InvalidInput,Submit-Automation", "text.redact"), found.stderr
    assert text == "It does not fit. /top too many Look at the schema."
    assert {headers["authorization"] for _, _, headers, _ in api.heard} == {"Bearer my-bearer-token"}
    assert "my-bearer-token" not in found.stdout + found.stderr


def test_runs_and_dead_letters_go_through_the_pipeline_page_after_page(api: FakeApi) -> None:
    api.answers = {
        "GET /v1/requests": [(200, {}, {"items": [a_run("Failed")], "nextCursor": "c&d"}), (200, {}, {"items": [a_run("Failed")]})],
        "POST /v1/requests/order-1/rerun": [(202, {}, a_run("Pending"))],
        "DELETE /v1/requests/order-1": [(202, {}, a_run("Canceling"))],
        "GET /v1/deadletters": [(200, {}, {"items": [{"id": "d/1", "reason": "GaveUp", "keptAt": "2026-11-28T10:00:00Z"}]})],
        "POST /v1/deadletters/d%2F1/replay": [(202, {}, {"id": "d/1", "reason": "GaveUp"})],
    }
    script = "Get-AutomationRun -Status Failed | Restart-Automation | Stop-Automation | % Status; "
    script += "Get-AutomationDeadLetter -Reason GaveUp | Resume-AutomationDeadLetter -Number 1 | % Id; 'order-1' | Stop-Automation -WhatIf"
    found = run(script, BRIDGE_URL=api.url)
    assert found.stdout.split("\n")[:3] == ["Canceling", "Canceling", "d/1"], found.stderr
    asked = api.asked()
    assert "GET /v1/requests?limit=99&status=Failed&cursor=c%26d" in asked
    assert "POST /v1/deadletters/d%2F1/replay?number=1" in asked
    assert asked.count("DELETE /v1/requests/order-1") == 2


def test_without_a_bridge_it_says_how_to_get_one(api: FakeApi) -> None:
    api.server_close()
    found = run(f"Connect-Bridge {api.url}; 'went on'; $ErrorActionPreference = 'Stop'; Connect-Bridge {api.url}; 'not here'")
    assert found.stdout.strip() == "went on"
    assert "No bridge answers at" in found.stderr
    assert "bridge up" in found.stderr
