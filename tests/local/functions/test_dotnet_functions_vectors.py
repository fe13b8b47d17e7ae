"""What Microsoft's own Functions host does with C# apps, recorded from it, done by the bridge's.

`DOTNET_FUNCTIONS_VECTORS` names another file of the same form. The apps themselves are a tool that no registry has.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.local.functions.rpc import dotnetapp

from . import dotnet_rpc_kit
from . import dotnet_rules as rules
from .conftest import need
from .dotnet_kit import NEEDED, runner
from .host_vector_compare import fits
from .host_vector_kit import Json, RecordedApp, RecordedHost, running, shown

FILE = Path(os.environ.get("DOTNET_FUNCTIONS_VECTORS") or Path(__file__).parent / "dotnet-functions-vectors.json")
APPS_OF_A_GROUP = 5  #: each is a process with 100 MB

_RECORDED: Json = json.loads(FILE.read_text())
_NAMES = list(dict.fromkeys(each["app"] for each in _RECORDED["vectors"]))
_GROUPS = [_NAMES[start : start + APPS_OF_A_GROUP] for start in range(0, len(_NAMES), APPS_OF_A_GROUP)]
_LEVELS = {"DEBUG": "dbug", "INFO": "info", "WARNING": "warn", "ERROR": "fail", "CRITICAL": "crit"}
_ENDS_LATER, _PATIENCE = re.compile(r"exit-after:(\d+)"), 6  #: seconds
_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\w+) +bridge\.functions: (\w+)-functions: ", re.MULTILINE)


@pytest.mark.parametrize("group", range(len(_GROUPS)))
async def test_csharp_apps_run_as_on_azure(group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotnet = runner()
    need(dotnet is not None, NEEDED)
    monkeypatch.setenv(dotnetapp.VARIABLE, str(dotnet))
    apps = {name: _patient(_RECORDED["apps"][name]) for name in _GROUPS[group]}
    with running(tmp_path, apps, _RECORDED["about"]) as host:
        found = await asyncio.gather(*(_of_app(name, host) for name in apps))
    differences = [each for app in found for each in app]
    assert not differences, "\n".join(differences)


def _patient(app: Json) -> Json:
    """The app; one that ends some time after its start does so when a machine that is busy has loaded it, too."""
    found = _ENDS_LATER.fullmatch((app.get("env") or {}).get("TEST_STARTUP", ""))
    if found is None:
        return app
    return {**app, "env": {**app["env"], "TEST_STARTUP": f"exit-after:{int(found[1]) + _PATIENCE * 1000}"}}


async def test_what_goes_to_a_worker_and_comes_back_is_what_was_recorded(tmp_path: Path) -> None:
    need(runner() is not None, NEEDED)
    differences = []
    async with dotnet_rpc_kit.alone("servicebus", tmp_path) as worker:
        for vector in _RECORDED["rpc"]:
            wanted, seen = dotnet_rpc_kit.expected(vector), await worker.call(vector)
            if not _same_call(wanted, seen) and not rules.call_accepted(vector, seen):
                wanted_text, seen_text = (json.dumps(each, default=str)[:1500] for each in (wanted, seen))
                differences.append(f"{vector['id']}:\n  expected {wanted_text}\n  seen     {seen_text}")
    assert not differences, "\n".join(differences)


def _same_call(expected: Json, seen: Json) -> bool:
    """Equal, where a long message of an exception was recorded in part."""
    wanted, given = (each.get("exception", {}).get("message", "") for each in (expected, seen))
    if given.startswith(wanted) and wanted:
        seen = {**seen, "exception": {**seen["exception"], "message": wanted}}
    return expected == seen


async def _of_app(name: str, host: RecordedHost) -> list[str]:
    differences = []
    vectors = [each for each in _RECORDED["vectors"] if each["app"] == name]
    if "functionTimeout" in json.dumps(_RECORDED["apps"][name].get("files")):
        await _warmed(host.app(name), vectors)
    for vector in vectors:
        differences += [f"{vector['id']}: {each}" for each in await _differences(vector, host)]
    return differences


async def _warmed(app: RecordedApp, vectors: list[Json]) -> None:
    """Send what is answered with 200: .NET compiles what it runs for the first time, which a short functionTimeout has no time for."""
    pairs = [pair for vector in vectors for pair in zip(vector["requests"], vector["expect"], strict=True)]
    for request in (request for request, expected in pairs if expected.get("status") == 200):
        await app.send(request)


async def _differences(vector: Json, host: RecordedHost) -> list[str]:
    app, content = host.app(vector["app"]), _RECORDED["apps"][vector["app"]]
    logged = len(host.log)
    found = await _start_differences(vector, app, content)
    for request, expected in zip(vector["requests"], vector["expect"], strict=True):
        if "sleep" in request:
            await (_restarted(app) if _patient(content) is not content else asyncio.sleep(request["sleep"]))
            continue
        answers = await asyncio.gather(*(_answered(app, request) for _ in range(request.get("parallel", 1))))
        seen = [app.normalised(shown(each, expected)) for each in answers]
        wanted = expected.get("all") or [expected] * len(seen)
        for one, other in zip(sorted(wanted, key=_place), sorted(seen, key=_place), strict=True):
            if not fits(one, other, app) and not rules.accepted(vector, content, request, one, other):
                found.append(f"{json.dumps(request)[:300]}\n  expected {json.dumps(one)[:1500]}\n  seen     {json.dumps(other)[:1500]}")
    return found + await _log_differences(vector, app, logged)


async def _restarted(app: RecordedApp) -> None:
    """Wait until the worker, which ends by itself, has been started again: the pause of the recording was for that."""
    async with asyncio.timeout(60):
        while f"{app.name}-functions: a worker is running again" not in app.host.log:
            await asyncio.sleep(0.1)


async def _answered(app: RecordedApp, request: Json) -> Json:
    """The answer of the app. One that has a worker no more has another soon; the recording had a pause for that."""
    answer: Json = {}
    if request["method"] in ("POST", "PUT", "PATCH") and not {"body", "bodyBase64", "bodyRepeat"} & request.keys():
        request = {**request, "body": ""}  # the client of this recording told the length of a body that it did not send
    for _ in range(100):
        answer = await app.send(request)
        if answer.get("status") != 503 or "content-type" not in answer["headers"]:  # an app that did not start has none
            break
        await asyncio.sleep(0.2)
    return answer


def _place(answer: Json) -> int:
    """Where an answer stands among those to equal requests that came at once."""
    return int(answer.get("status") or 0)


async def _start_differences(vector: Json, app: RecordedApp, content: Json) -> list[str]:
    start = vector.get("start")
    if not start or rules.start_accepted(vector, content):
        return []
    status = json.loads((await app.master("/admin/host/status"))["body"])
    listed = json.loads((await app.master("/admin/functions"))["body"])
    seen: Json = {"state": status["state"], "errors": bool(status.get("errors"))}
    wanted: Json = {"state": start["state"], "errors": bool(start.get("errors"))}
    if "functions" in start and start["state"] == "Running":
        seen["functions"], wanted["functions"] = sorted(each["name"] for each in listed), sorted(start["functions"])
    if "functionCount" in start:
        seen["functionCount"], wanted["functionCount"] = len(listed), start["functionCount"]
    if start.get("routes"):
        lines = [line for line in app.host.log.splitlines() if f"{app.name}-functions: '" in line]
        seen["routes"], wanted["routes"] = sorted(line.partition("-functions: ")[2] for line in lines), sorted(start["routes"])
    return [] if seen == wanted else [f"start\n  expected {json.dumps(wanted)[:1500]}\n  seen     {json.dumps(seen)[:1500]}"]


async def _log_differences(vector: Json, app: RecordedApp, logged: int) -> list[str]:
    wanted = vector.get("log")
    if not wanted:
        return []
    expected = {name: _comparable(wanted[name]) for name in ("userLog", "console") if name in wanted}
    expected |= {"failedExecutions": wanted["failedExecutions"]} if "failedExecutions" in wanted else {}
    seen: Json = {}
    for _ in range(40):
        seen = app.normalised(_logged(app, logged))
        if all(seen[name] == value for name, value in expected.items()):
            return []
        await asyncio.sleep(0.1)
    shown_log = {name: seen[name] for name in expected}
    return [f"log\n  expected {json.dumps(expected)[:1500]}\n  seen     {json.dumps(shown_log)[:1500]}"]


def _comparable(lines: Any) -> list[list[str]]:
    """Trace and Debug are one level in the log of this host."""
    return sorted([level.replace("trce", "dbug"), text] for level, text in lines)


def _logged(app: RecordedApp, start: int) -> Json:
    """What the host has logged of the app since its log was `start` characters long."""
    found: Json = {"userLog": [], "console": [], "failedExecutions": 0}
    for level, text in _records(app, start):
        name, bar, said = text.partition("| ")
        if not bar or " took " in name:
            found["failedExecutions"] += bool(re.match(r"\w+ took .* and failed", text))
        elif name.strip():
            said = said.rpartition(" (invocation ")[0]
            before, exception, raised = said.partition(" | ")
            found["userLog"].append([level, f"{before}{exception}{raised.partition(chr(10))[0]}"])
        else:
            found["console"].append([level, said])
    return {**found, "userLog": sorted(found["userLog"]), "console": sorted(found["console"])}


def _records(app: RecordedApp, start: int) -> Iterator[tuple[str, str]]:
    """Level and text of each record of the app; a text may have several lines."""
    log = app.host.log[start:]
    heads = [*re.finditer(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", log, re.MULTILINE)]
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        record = log[head.start() : following.start() if following else len(log)]
        if (found := _RECORD.match(record)) and found[2] == app.name:
            yield _LEVELS[found[1]], record[found.end() :].removesuffix("\n")
