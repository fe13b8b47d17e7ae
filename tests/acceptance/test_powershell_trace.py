"""One trace from the caller over bus, bridge and a PowerShell function to what the function calls: on every runtime."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import HERE, ROOT, BridgeProcess
from tests.acceptance.otlp_receiver import ReceivedSpan, Receiver, receiving
from tests.acceptance.runtimes import Runtime
from tests.acceptance.scripted import KEY, Scripted
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PASSWORD = "marked-password"
SUBMIT = "POST /v1/automations/{name}/requests"
#: It calls the scripted app once, and hands back what that has answered.
WORK = "param($in) Invoke-RestMethod $in.url -Method Post -Headers @{ 'x-functions-key' = 'KEY' } -ContentType application/json -Body '{}'"
#: Its name is the one that the subscription of the tests takes.
CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: topic.work, description: The same script behind HTTP and behind a topic}
spec:
  input: {type: object, properties: {url: {type: string}, password: {type: string, writeOnly: true}}}
  deadline: 2m
  targets:
  - {name: called, http: {app: traced-functions, path: /api/traced}}
  - {name: told, topic: {name: work}}
"""


def write_app(folder: Path) -> None:
    """The app `traced` with the module, an HTTP function and one behind the topic of the tests."""
    counting = HERE / "counting" / "powershell" / "counting"
    shutil.copytree(ROOT / "functions" / "powershell" / "Modules", folder / "Modules")
    shutil.copy(counting / "local.settings.json", folder)
    for name, like, parameter in (("TracedCall", "CountCall", "$Request"), ("TracedMessage", "CountMessage", "$message")):
        (folder / name).mkdir()
        bindings = (counting / like / "function.json").read_text().replace('"count"', '"traced"')
        (folder / name / "function.json").write_text(bindings)
        script = f"param({parameter})\nInvoke-Automation {parameter} {{ {WORK.replace('KEY', KEY)} }}\n"
        (folder / name / "run.ps1").write_text(script)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def traced(runtime: Runtime, receiver: Receiver, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    """A bridge that sends its spans to the collector, as the functions beside it do."""
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    write_app(tmp_path / "functions" / "traced")
    (tmp_path / "automations.yaml").write_text(CATALOGUE)
    config = f"""
catalogue: {tmp_path / "automations.yaml"}
entities: {HERE / "servicebus.json"}
functions: {tmp_path / "functions"}
functions_port: 0
"""
    environment = {"BRIDGE_PWSH": str(pwsh()), "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=marked-collector-key", **receiver.environment}
    async with runtime.bridge(tmp_path, config + runtime.functions_settings, environment) as process:
        yield process


async def ask(bridge: BridgeProcess, value: dict[str, Any]) -> dict[str, Any]:
    headers = {"traceparent": CALLER, "tracestate": "vendor=1", "x-correlation-id": "order-1", "prefer": "wait=60"}
    url = "/v1/automations/topic.work/requests"
    async with aiohttp.ClientSession(bridge.url) as http, http.post(url, json=value, headers=headers) as answer:
        run: dict[str, Any] = await answer.json()
        assert (answer.status, run["status"]) == (200, "Succeeded"), run
        return run


def is_whole(spans: list[ReceivedSpan]) -> bool:
    names = [each.name for each in spans]
    return {"send automation-replies", SUBMIT, "TracedCall", "TracedMessage"} <= set(names) and names.count("POST") == 2


async def test_what_powershell_functions_do_and_call_is_in_the_trace_of_the_caller(
    runtime_name: str, traced: BridgeProcess, receiver: Receiver, app: Scripted
) -> None:
    await ask(traced, {"url": f"{app.url}/api/echo", "password": PASSWORD})
    spans = await receiver.until(is_whole)
    await traced.stop()
    assert {each.trace_id for each in spans} == {CALLER[3:35]}
    accepted = f"caller > {SUBMIT} > accept"
    taken = accepted if runtime_name == "embedded" else f"{accepted} > send automation-requests > process automation-requests"
    told = f"{taken} > send work > TracedMessage"
    found = receiver.tree()
    for path in (
        f"CLIENT {accepted} > POST /api/traced",
        f"SERVER {accepted} > POST /api/traced > TracedCall",
        f"CLIENT {accepted} > POST /api/traced > TracedCall > POST",
        f"PRODUCER {taken} > send work",
        f"CONSUMER {told}",
        f"CLIENT {told} > POST",
        f"CONSUMER {told} > process automation-results",
    ):
        assert path in found, json.dumps(found, indent=1)
    # What was called got the span of its call, and the caller's tracestate.
    calls = {headers["traceparent"]: headers["tracestate"] for _, headers, _ in app.calls}
    assert calls == {f"00-{each.trace_id}-{each.span_id}-01": "vendor=1" for each in spans if each.name == "POST"}
    for secret in (PASSWORD, KEY, "marked-collector-key"):
        assert secret not in "".join(receiver.raw) + traced.log()
    assert {each["x-api-key"] for each in receiver.headers} == {"marked-collector-key"}
