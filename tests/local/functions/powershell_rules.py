"""Where the bridge's PowerShell worker differs from Microsoft's on purpose. Each rule is on a behaviour, so it holds for any recording.

`docs/powershell.md` gives the reasons to users.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any

Json = dict[str, Any]

#: What a call changes that Microsoft's worker leaves changed for the next call of the runspace.
_BUILT_IN = r"(\w+Preference|OutputEncoding|ErrorView|FormatEnumerationLimit|PSEmailServer|PSSessionOption|MaximumHistoryCount)"
_CHANGED_STATE = re.compile(
    rf"\$global:{_BUILT_IN}\s*=|Set-Variable\s+(-Name\s+)?{_BUILT_IN}|PSDefaultParameterValues(\s*\[|\.Add|\s*=)"
    r"|Set-Location|Push-Location|\bcd\s|\$(global:)?Error\b",
    re.IGNORECASE,
)
_NO_PWSH = "The pwsh executable cannot be found"  #: how Microsoft's worker says that it has none for Start-Job
_PROFILE_VARIABLE = re.compile(r"(^|[;\n])\s*(\[\w+\])?\$(global:|script:)?(?!env:|PSDefault|\w+Preference)\w+\s*=", re.IGNORECASE)
_LOCATION = re.compile(r"(?:Set-Location|Push-Location|\bcd)\s+(/\S*?)[\s'\";]*$", re.IGNORECASE | re.MULTILINE)
_CODE_OFFSET = re.compile(r"at offset \d+")


def expected(vector: Json, app: str) -> Json:
    """What a vector expects of our worker, for the app in folder `app`."""
    found: Json = json.loads(json.dumps(vector["expect"]).replace("{app}", json.dumps(app)[1:-1]).replace("the ID 'id-", "the ID '"))
    steps: list[Json] = found["invocations"]
    for rule in (_a_stopped_call_fails, _a_failing_profile_frees_its_slot, _calls_start_from_the_state_of_the_profile, _start_job_works):
        rule(vector, steps, app)
    return found


def _a_stopped_call_fails(vector: Json, steps: list[Json], _app: str) -> None:
    """Microsoft's worker ignores a cancel and goes on. Ours ends the script, so that whoever canceled does not wait."""
    for index, step in enumerate(vector["invocations"]):
        if "cancelAfterMs" in step:
            steps[index] = {"status": "Failure", "exceptionMessage": "it was stopped", "logs": steps[index]["logs"]}


def _a_failing_profile_frees_its_slot(_vector: Json, steps: list[Json], _app: str) -> None:
    """Microsoft's worker never gives the slot back, and later calls wait for ever. Ours fails them as it failed the first."""
    for index, step in enumerate(steps):
        if step.get("status") == "NoResponse":
            steps[index] = steps[index - 1]


def _calls_start_from_the_state_of_the_profile(vector: Json, steps: list[Json], app: str) -> None:
    """What profile.ps1 set stays, and what a call changed goes back to that: two calls with the same input see the same."""
    scripts = {name: text for name, text in vector["files"].items() if isinstance(text, str) and name.endswith((".ps1", ".psm1"))}
    profiles = "\n".join(text for name, text in scripts.items() if name.lower() == "profile.ps1")
    others = "\n".join(text for name, text in scripts.items() if name.lower() != "profile.ps1")
    if not _CHANGED_STATE.search(others) and not _PROFILE_VARIABLE.search(profiles):
        return
    first: dict[str, int] = {}
    for index, step in enumerate(vector["invocations"]):
        if "action" in step:
            continue
        earlier = first.setdefault(json.dumps([step["function"], step.get("trigger")]), index)
        if earlier != index:
            lines = len(steps[index]["logs"])
            steps[index] = {**steps[earlier], "logs": steps[earlier]["logs"][-lines:] if lines else []}
        elif index:
            for location in _LOCATION.findall(others):
                steps[index] = json.loads(json.dumps(steps[index]).replace(f"[{location}]", f"[{app}]"))


def _start_job_works(_vector: Json, steps: list[Json], _app: str) -> None:
    """Microsoft's worker has no pwsh that a job could run in. Ours has one, so what the call logs and gives is the job's."""
    for index, step in enumerate(steps):
        if any(_NO_PWSH in each["message"] for each in step.get("logs", [])):
            steps[index] = {"status": step["status"]}


def comparable(step: Json, expected_keys: Container[str] | None = None) -> Json:
    """A step without what no two workers can have in common: how each shows the place of an error, and offsets in compiled code."""
    step = {key: value for key, value in step.items() if expected_keys is None or key in expected_keys or key == "exceptionMessage"}
    step = {key: value for key, value in step.items() if not (key == "outputs" and not value)}
    if "logs" in step:
        step["logs"] = [{**each, "message": _message(each["message"])} for each in step["logs"]]
    return step


def _message(text: str) -> str:
    shown = text.split("\n", maxsplit=1)[0] if text.startswith(("ERROR: ", "EXCEPTION: ")) else text
    return _CODE_OFFSET.sub("at offset N", shown)
