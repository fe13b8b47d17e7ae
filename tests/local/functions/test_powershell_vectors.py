"""What Microsoft's own PowerShell worker does, recorded from it, done by the bridge's.

`POWERSHELL_VECTORS` names another file of the same form.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections import defaultdict
from collections.abc import Container
from pathlib import Path
from typing import Any

import pytest

from bridge.local.functions import powershell
from bridge.local.functions.worker import InvocationResponse, Worker, WorkerLost

from . import powershell_rules
from .conftest import need
from .powershell_kit import Json, pwsh, to_recorded, to_value, write_files

VECTORS = Path(os.environ.get("POWERSHELL_VECTORS") or Path(__file__).parent / "powershell-vectors.json")
_TRIES = 3
_SIGNALED = (130, 137, 143)  #: exit codes that a shell gives for a process that a signal has ended
LEVELS = {"trace": "Trace", "debug": "Debug", "info": "Information", "warning": "Warning", "error": "Error"}


class RecordedApp:
    """The app of one vector, run by a worker, and what is seen of it."""

    def __init__(self, folder: Path, vector: Json) -> None:
        self.folder = folder / "app"
        self.logs: dict[str, list[Json]] = defaultdict(list)
        self.console: list[str] = []
        self.worker: Worker
        self.loaded: dict[str, Json] = {}
        self._vector = vector

    async def start(self) -> None:
        program = pwsh()
        assert program is not None
        self.folder.mkdir(parents=True)
        write_files(self.folder, self._vector["files"])
        settings = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "XDG"))}
        settings |= {name: value for name, value in (self._vector.get("env") or {}).items() if value is not None}
        started = powershell.program(program, self.folder, settings)
        self.worker, hello = await Worker.start(started, self._log)
        for function in hello.functions:
            problem = function.get("problem")
            self.loaded[function["name"]] = {"status": "Failure", "exceptionMessage": problem} if problem else {"status": "Success"}

    def _log(self, invocation: str | None, level: str, text: str) -> None:
        if invocation is None:
            self.console.append(text)
        else:
            self.logs[invocation].append({"level": LEVELS[level], "message": text})

    async def run(self) -> list[Json]:
        """Do the vector's steps; those of a group are sent together."""
        steps, answers = self._vector["invocations"], []
        running: list[asyncio.Task[Json]] = []
        group = None
        for step in steps:
            if running and (step.get("group") is None or step.get("group") != group):
                answers += await asyncio.gather(*running)
                running = []
            group = step.get("group")
            running.append(asyncio.create_task(self._step(step)))
            await asyncio.sleep(step.get("delayMs", 0) / 1000)
        return answers + list(await asyncio.gather(*running))

    async def stop(self) -> None:
        self.worker.kill()
        await asyncio.wait_for(self.worker.released.wait(), 10)

    async def _step(self, step: Json) -> Json:
        if step.get("action") == "wait":
            await asyncio.sleep(step["ms"] / 1000)
        if "action" in step:
            return {"action": step["action"], "status": "Success"}
        order = self._order(step)
        try:
            answer = self.worker.invoke(order)
            if "cancelAfterMs" in step:
                asyncio.get_running_loop().call_later(step["cancelAfterMs"] / 1000, self.worker.stop, order["id"])
            response = await asyncio.wait_for(answer, 60)
        except WorkerLost:
            return {"status": "WorkerExited", "logs": self.logs[order["id"]]}
        return self._seen(order, response)

    def _order(self, step: Json) -> Json:
        bindings = json.loads(self._vector["files"].get(f"{step['function']}/function.json", "{}")).get("bindings", [])
        parameter = next((each["name"] for each in bindings if each["type"].lower().endswith("trigger")), "")
        trace, retry = step.get("traceContext") or {}, step.get("retryContext")
        trigger: Json = {"name": parameter, "metadata": _values(step.get("triggerMetadata"))}
        if "trigger" in step:
            trigger["value"] = to_value(step["trigger"])
        order: Json = {
            "op": "invoke",
            "id": step.get("invocationId") or str(uuid.uuid4()),
            "function": step.get("functionId", step["function"]).removeprefix("id-"),
            "trigger": trigger,
            "inputs": _values(step.get("inputs")),
            "trace": {
                "parent": trace.get("traceparent", ""),
                "state": trace.get("tracestate", ""),
                "attributes": trace.get("attributes", {}),
            },
        }
        if retry:
            names = {"count": "retryCount", "maximum": "maxRetryCount", "message": "exceptionMessage", "source": "exceptionSource"}
            order["retry"] = {name: retry[recorded] for name, recorded in names.items()}
        return order

    def _seen(self, order: Json, response: InvocationResponse) -> Json:
        logs = self.logs[order["id"]]
        if not response.ok:
            return {"status": "Failure", "exceptionMessage": response.message, "logs": logs}
        outputs = {name: to_recorded(response.outputs.get(name)) for name in self._outputs(order["function"])}
        seen: Json = {"status": "Success", "logs": logs}
        if "$return" in outputs:
            seen["returnValue"] = outputs.pop("$return")
        return {**seen, "outputs": outputs}

    def _outputs(self, function: str) -> list[str]:
        bindings = json.loads(self._vector["files"][f"{function}/function.json"])["bindings"]
        return [each["name"] for each in bindings if each.get("direction", "").lower() == "out"]


def _values(recorded: Json | None) -> Json:
    return {name: to_value(value) for name, value in (recorded or {}).items()}


def _load() -> list[Any]:
    vectors = json.loads(VECTORS.read_text())
    return [pytest.param(each, id=each["id"]) for each in vectors]


@pytest.mark.parametrize("vector", _load())
async def test_the_worker_does_what_microsofts_does(vector: Json, tmp_path: Path) -> None:
    need(pwsh() is not None, f"there is no pwsh; install PowerShell or name it in {powershell.VARIABLE}")
    seen: list[Json] = []
    # Pauses between calls were recorded on a machine that did nothing else, so on a busy one they may need another try.
    for attempt in range(_TRIES if any("delayMs" in step for step in vector["invocations"]) else 1):
        app = RecordedApp(tmp_path / str(attempt), vector)
        expected = powershell_rules.expected(vector, str(app.folder))
        steps = await _seen(app, expected)
        seen = [powershell_rules.comparable(step, _keys(wanted)) for step, wanted in zip(steps, expected["invocations"], strict=True)]
        if seen == _compared(expected["invocations"]):
            return
    assert seen == _compared(expected["invocations"])


async def _seen(app: RecordedApp, expected: Json) -> list[Json]:
    """What the vector's calls come to; the other expectations are checked here."""
    await app.start()
    try:
        assert app.loaded == expected["load"]
        steps = await app.run()
        await _check_end(app, expected)
        return steps
    finally:
        await app.stop()


def _keys(wanted: Json) -> Container[str] | None:
    """What is compared of a step: everything, unless only its status is expected."""
    return wanted if wanted.keys() == {"status"} else None


def _compared(steps: list[Json]) -> list[Json]:
    return [powershell_rules.comparable(each) for each in steps]


async def _check_end(app: RecordedApp, expected: Json) -> None:
    if "exitCode" in expected:
        await asyncio.wait_for(app.worker.released.wait(), 10)
        code = expected["exitCode"]
        assert app.worker.exit_code == (128 - code if code in _SIGNALED else code)
    for line in [*expected.get("console", []), *expected.get("consoleError", [])]:
        assert line in app.console
