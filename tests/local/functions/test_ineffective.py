"""What counts for nothing in Azure either is said at the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.local.functions import bindingreader, ineffective

from .conftest import Hosts


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AzureWebJobs__Report__Disabled", "true", "write AzureWebJobs.Report.Disabled"),
        ("AzureWebJobs.Report.Disabled", "yes", "only true or 1 switches Report off"),
        ("azurewebjobs_report_disabled", "on", "only true or 1 switches report off"),
    ],
)
def test_a_setting_that_does_not_switch_a_function_off_is_told(name: str, value: str, words: str) -> None:
    assert words in " ".join(ineffective.settings({name: value, "PATH": "/bin"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AzureWebJobs.Report.Disabled", "true"),
        ("AzureWebJobs_Report_Disabled", "1"),
        ("AzureWebJobs.Report.Disabled", "False"),
        ("X", "yes"),
    ],
)
def test_a_setting_that_does_what_it_says_is_not(name: str, value: str) -> None:
    assert list(ineffective.settings({name: value})) == []


def test_descriptions_that_are_not_read_are_told_with_their_place(tmp_path: Path) -> None:
    for place in (".", "Good", "Other", "Good/nested", ".hidden", "node_modules/x"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for file in ("function.json", "Good/function.json", "Other/Function.json", "Good/nested/function.json", "node_modules/x/function.json"):
        (tmp_path / file).write_text("{}")

    said = list(ineffective.files(tmp_path))

    assert len(said) == 3
    assert said[0].startswith(f"{tmp_path / 'function.json'} is not read; a function has a folder of its own")
    assert said[1].startswith(f"{tmp_path / 'Good/nested/function.json'} is not read; the folder of a function stands directly in")
    assert said[2].startswith(f"{tmp_path / 'Other/Function.json'} is not read; its name must be function.json")


def test_parts_of_a_function_that_azure_ignores_are_told() -> None:
    trigger = {"type": "httpTrigger", "direction": "in", "name": "r", "route": "%PREFIX%/a/{id}"}
    described = bindingreader.read({"name": "F", "bindings": [trigger]}, str)

    said = list(ineffective.function(described, {"disabled": True, "excluded": False, "generatedBy": "x"}))

    assert said == [
        "disabled in the function.json of F has no effect; set AzureWebJobs.F.Disabled to true, which switches it off",
        "%PREFIX% in the route or methods of F is not replaced, as it is in schedules, queues and topics",
    ]


def test_the_host_says_it_at_the_start(hosts: Hosts, tmp_path: Path) -> None:
    app = tmp_path / "apps" / "own"
    (app / "F").mkdir(parents=True)
    (app / "host.json").write_text(
        '{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "sleep", "arguments": ["60"]}}}'
    )
    (app / "F" / "function.json").write_text(json.dumps({"bindings": [{"type": "httpTrigger", "name": "r"}], "disabled": True}))

    host = hosts.start(tmp_path, tmp_path / "apps", tmp_path / "host.json", AzureWebJobs__F__Disabled="true")

    host.wait_for_log("disabled in the function.json of F has no effect")
    host.wait_for_log("the setting AzureWebJobs__F__Disabled has no effect; write AzureWebJobs.F.Disabled (here and in Azure).")
