"""What Microsoft's own Functions host does, recorded from it, done by the bridge's.

`FUNCTIONS_HOST_VECTORS` names another file of the same form. Vectors of Service Bus have a test of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bridge.local.functions import powershell

from . import host_vector_rules as rules
from .conftest import need
from .host_vector_compare import fits
from .host_vector_kit import Json, RecordedApp, RecordedHost, running, shown
from .powershell_kit import pwsh

FILE = Path(os.environ.get("FUNCTIONS_HOST_VECTORS") or Path(__file__).parent / "functions-host-vectors.json")
APPS_OF_A_GROUP = {"custom": 36, "powershell": 12}  #: a PowerShell worker takes more memory than the handlers of the vectors
APPS_AT_ONCE = 12

_RECORDED: Json = json.loads(FILE.read_text())
VECTORS: list[Json] = _RECORDED["vectors"]


def _groups(runtime: str) -> list[list[str]]:
    names = list(dict.fromkeys(each["app"] for each in VECTORS if _RECORDED["apps"][each["app"]]["runtime"] == runtime))
    return [names[start : start + APPS_OF_A_GROUP[runtime]] for start in range(0, len(names), APPS_OF_A_GROUP[runtime])]


GROUPS = [
    pytest.param(names, runtime, id=f"{runtime}-{number}") for runtime in APPS_OF_A_GROUP for number, names in enumerate(_groups(runtime))
]


@pytest.mark.parametrize(("names", "runtime"), GROUPS)
async def test_the_host_does_what_azures_does(names: list[str], runtime: str, tmp_path: Path) -> None:
    if runtime == "powershell":
        need(pwsh() is not None, f"there is no pwsh; install PowerShell or name it in {powershell.VARIABLE}")
    at_once = asyncio.Semaphore(APPS_AT_ONCE)
    with running(tmp_path, {name: _RECORDED["apps"][name] for name in names}, _RECORDED["about"]) as host:

        async def of_app(name: str) -> list[str]:
            async with at_once:
                differences = []
                for vector in (each for each in VECTORS if each["app"] == name):
                    differences += [f"{vector['id']}: {each}" for each in await _differences(vector, host)]
                return differences

        found = await asyncio.gather(*(of_app(name) for name in names))
    differences = [each for app in found for each in app]
    assert not differences, "\n".join(differences)


async def _differences(vector: Json, host: RecordedHost) -> list[str]:
    app, content = host.app(vector["app"]), _RECORDED["apps"][vector["app"]]
    logged = len(host.log)
    found = await _start_differences(vector, content, app)
    for request, expected in zip(vector["requests"], vector["expect"], strict=True):
        if "sleep" in request:
            await asyncio.sleep(request["sleep"])
            continue
        answers = await asyncio.gather(*(app.send(request) for _ in range(request.get("parallel", 1))))
        for answer, wanted in zip(answers, expected.get("all") or [expected] * len(answers), strict=True):
            seen = app.normalised(shown(answer, wanted))
            if not fits(wanted, seen, app) and not rules.accepted(vector, content, request, wanted, seen):
                found.append(f"{json.dumps(request)[:300]}\n  expected {json.dumps(wanted)[:1500]}\n  seen     {json.dumps(seen)[:1500]}")
    return found + await _log_differences(vector, content, app, logged)


async def _start_differences(vector: Json, content: Json, app: RecordedApp) -> list[str]:
    start = vector["start"]
    status = json.loads((await app.master("/admin/host/status"))["body"])
    listed = json.loads((await app.master("/admin/functions"))["body"])
    seen: Json = {"state": status["state"], "errors": bool(status.get("errors"))}
    wanted: Json = {"state": start.get("state"), "errors": bool(start.get("errors"))}
    if start.get("state") == "Running":
        seen["functions"], wanted["functions"] = sorted(each["name"] for each in listed), sorted(start.get("functions") or [])
        seen["disabled"], wanted["disabled"] = sorted(each["name"] for each in listed if each["isDisabled"]), start.get("disabled") or []
        lines = [line for line in app.host.log.splitlines() if f"{app.name}-functions: '" in line]
        seen["routes"] = sorted(line.partition("-functions: ")[2] for line in lines)
        wanted["routes"] = sorted(start.get("routes") or [])
    if seen == wanted or rules.start_accepted(vector, content, wanted, seen):
        return []
    different = [name for name in wanted if seen.get(name) != wanted[name]]
    lines = [f"{name}: expected {_only(wanted[name], seen.get(name))}, seen {_only(seen.get(name), wanted[name])}" for name in different]
    return [f"start\n  {'; '.join(lines)} {status.get('errors') or ''}"]


def _only(these: Any, those: Any) -> Any:
    """What only `these` have."""
    return [each for each in these if each not in those] if isinstance(these, list) and isinstance(those, list) else these


async def _log_differences(vector: Json, content: Json, app: RecordedApp, since: int) -> list[str]:
    """What the vector's requests have not logged, though they did on Azure's host."""
    wanted = Counter(map(_comparable, app.normalised(rules.expected_log(vector, content))))
    failed = rules.expected_failures(vector, content)
    seen: Counter[str] = Counter()
    failures = 0
    accepted = rules.log_accepted(vector, content)
    for _ in range(10 if accepted else 200):  # what runs after a 202 has its time
        log = app.host.log[since:]
        failures = sum(f" bridge.functions: {app.name}-functions: " in line and " and failed" in line for line in log.splitlines())
        seen = Counter(map(_comparable, _user_lines(app, log)))
        if wanted <= seen and failed in (None, failures):
            return []
        await asyncio.sleep(0.1)
    if accepted:
        return []
    return [f"log\n  missing {json.dumps(wanted - seen)[:1500]}\n  failures: expected {failed}, seen {failures}"]


def _comparable(line: str) -> str:
    """The line with its JSON, if it ends in some, in one form."""
    text, brace, rest = line.partition("{")
    try:
        return text + json.dumps(json.loads(brace + rest), sort_keys=True)
    except ValueError:
        return line.rstrip()


def _user_lines(app: RecordedApp, log: str) -> list[str]:
    """What functions of the app have logged: level and text; what a process has printed without saying for which call is `console`."""
    found = []
    for line in log.splitlines():
        _, here, rest = line.partition(f" bridge.functions: {app.name}-functions: ")
        function, bar, text = rest.partition("| ")
        level = {"WARNING": "warn", "ERROR": "fail"}.get(line.split()[2], "info") if here else ""
        if bar:
            found.append(
                app.normalised(f"{level} {text.rpartition(' (invocation ')[0] or text}" if function else f"{level} console {text}")
            )
        elif rest.startswith("OutputNotSent: "):
            found.append(f"{level} OutputNotSent")
    return found
