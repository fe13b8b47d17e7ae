"""What PowerShell's own parser finds in the scripts of functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigurationError
from bridge.scaffold import powershellreader
from bridge.scaffold.existing import CodeFacts
from tests.local.functions.conftest import need
from tests.local.functions.powershell_kit import pwsh


@pytest.fixture(autouse=True)
def _named_pwsh(monkeypatch: pytest.MonkeyPatch) -> None:
    need(pwsh() is not None, "there is no pwsh; install PowerShell or name it in BRIDGE_PWSH")
    monkeypatch.setenv("BRIDGE_PWSH", str(pwsh()))


def read(tmp_path: Path, script: str, parameter: str = "Request") -> CodeFacts:
    (tmp_path / "run.ps1").write_text(script)
    return powershellreader.read(tmp_path / "run.ps1", parameter)


def found(facts: CodeFacts) -> dict[str, Any]:
    return {f"{use.place.value} {'/'.join(use.path)}": use.type for use in facts.uses}


def test_the_parts_of_a_request(tmp_path: Path) -> None:
    script = """
param($Request, $TriggerMetadata)
$name = $Request.Query.Name
if (-not $name) { $name = $Request.Body.Name }
[int] $days = $Request.Query['days']
$id = $Request.Params.id
$key = $Request.Headers.'x-key'
$body = $Request.Body
$mail = [string] $body.mail
if ($body.address.street) { $body.users.Count }
if ($body.ContainsKey('force')) { }
Push-OutputBinding -Name Response -Value @{ Body = $name }
"""
    assert found(read(tmp_path, script)) == {
        "query Name": "",
        "body Name": "",
        "query days": "integer",
        "route id": "",
        "header x-key": "",
        "body mail": "string",
        "body address/street": "",
        "body address": "",
        "body users": "",
        "body force": "",
    }


def test_a_form_and_a_body_that_the_script_parses(tmp_path: Path) -> None:
    form = "param($Request)\n$form = [System.Web.HttpUtility]::ParseQueryString($Request.Body)\n$form['From']\n"
    text = "param($Request)\n$in = $Request.RawBody | ConvertFrom-Json\n(ConvertFrom-Json $Request.Body).other\n$in.number\n"

    assert set(found(read(tmp_path, form))) == {"form From"}
    assert set(found(read(tmp_path, text))) == {"body other", "body number"}


def test_the_fields_of_a_message(tmp_path: Path) -> None:
    facts = read(tmp_path, 'param($QueueItem)\n$item = $QueueItem | ConvertFrom-Json\n"$($QueueItem.Number) $($item.Name)"\n', "QueueItem")

    assert set(found(facts)) == {"body Number", "body Name"}


def test_a_script_behind_invoke_automation_has_its_parameters_as_fields(tmp_path: Path) -> None:
    (tmp_path / "old.ps1").write_text(
        "[CmdletBinding(SupportsShouldProcess)] param([Parameter(Mandatory)] [string] $Path, [int] $Days = 30, [string[]] $Names)"
    )

    facts = read(tmp_path, 'param($message)\nInvoke-Automation $message -Path "$PSScriptRoot/old.ps1"\n', "message")

    assert facts.reads_event
    assert found(facts) == {"body WhatIf": "boolean", "body Path": "string", "body Days": "integer", "body Names": "array"}
    assert [use.required for use in facts.uses] == [False, True, False, False]


def test_what_cannot_be_seen_is_named_with_its_line(tmp_path: Path) -> None:
    facts = read(tmp_path, "param($Request)\n. ./helpers.ps1\nSend-Thing -Body $Request.Body\n")

    assert [note.partition(";")[0] for note in facts.notes] == [
        ". ./helpers.ps1 (line 2) was not read",
        "$Request.Body goes to Send-Thing (line 3)",
    ]


def test_nothing_in_a_script_is_run(tmp_path: Path) -> None:
    read(tmp_path, f"param($Request)\nSet-Content '{tmp_path}/ran' x\n$Request.Body.a\n")

    assert not (tmp_path / "ran").exists()


def test_a_script_that_does_not_parse_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"run.ps1, line 2: .+[^.]\. Fix it first"):
        read(tmp_path, "param($Request)\nif (1 {\n")


def test_without_powershell_the_entry_says_that_the_script_was_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PWSH", "/no/such/pwsh")

    assert "the script was not read" in read(tmp_path, "param($Request)").notes[0]
