"""What a PowerShell function reads of its request or message, found by PowerShell's own parser. The script is parsed and never run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import powershell
from bridge.scaffold.existing import NOTHING, CodeFacts, FieldUse, InputPlace

_SCRIPT = Path(__file__).parent / "read_function.ps1"
_SECONDS = 60.0


def read(script: Path, parameter: str) -> CodeFacts:
    """The facts of a script whose trigger is bound to the parameter; without PowerShell, that it could not be read."""
    facts = CodeFacts()
    try:
        pwsh = powershell.find(os.environ)
    except ConfigurationError as fault:
        facts.note(f"the script was not read: {fault.problems[0]}")
        return facts
    command = [pwsh, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", str(_SCRIPT), "-Path", str(script), "-Parameter", parameter]
    environment = {**os.environ, "POWERSHELL_TELEMETRY_OPTOUT": "1", "POWERSHELL_UPDATECHECK": "Off"}
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, env=environment)  # noqa: S603 - paths, and no shell
        found = json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as fault:
        raise ConfigurationError([f"{script} cannot be read by {pwsh}: {fault}."]) from None
    if error := found.get("error"):
        raise ConfigurationError([f"{script}, {error.rstrip('.')}. Fix it first: the function cannot run either."])
    facts.reads_event, facts.reads_raw, facts.description = found["event"], found["raw"], found["description"] or ""
    for each in found["uses"]:
        default = NOTHING if each.get("default") is None else each["default"]
        facts.add(FieldUse(InputPlace(each["place"]), tuple(each["path"]), each["line"], each["type"] or "", each["required"], default))
    for text in found["notes"]:
        facts.note(text)
    return facts
