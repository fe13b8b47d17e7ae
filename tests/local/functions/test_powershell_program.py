from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import powershell


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def test_the_program_that_is_named_goes_before_the_one_on_the_path(tmp_path: Path) -> None:
    named, on_path = executable(tmp_path / "mine" / "pwsh-preview"), executable(tmp_path / "bin" / "pwsh")

    assert powershell.find({"BRIDGE_PWSH": str(named), "PATH": str(on_path.parent)}) == str(named)
    assert powershell.find({"PATH": str(on_path.parent)}) == str(on_path)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none/pwsh, which is not a program"):
        powershell.find({"BRIDGE_PWSH": str(tmp_path / "none" / "pwsh")})


def test_without_any_pwsh_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(powershell, "_USUAL_PLACES", ())

    with pytest.raises(ConfigurationError, match=r"Install PowerShell 7\.4 or later, or name it in BRIDGE_PWSH"):
        powershell.find({"PATH": "/nowhere"})


def test_an_app_s_settings_reach_its_worker_and_what_the_host_decides_stays(tmp_path: Path) -> None:
    (tmp_path / "F").mkdir()
    (tmp_path / "F" / "function.json").write_text(json.dumps({"bindings": [{"type": "timerTrigger", "name": "t"}]}))
    (tmp_path / "F" / "run.ps1").touch()

    started = powershell.program("pwsh", tmp_path, {"PSWorkerInProcConcurrencyUpperBound": "4", "FUNCTIONS_WORKER_RUNTIME": "python"})

    assert started.environment["PSWorkerInProcConcurrencyUpperBound"] == "4"
    assert started.environment["FUNCTIONS_WORKER_RUNTIME"] == "powershell"
    assert [each["name"] for each in started.functions or ()] == ["F"]
