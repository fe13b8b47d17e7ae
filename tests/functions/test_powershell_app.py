"""The shipped PowerShell app and its module, as far as they can be checked without PowerShell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge import catalog, entities
from bridge.local.functions import appsettings, bindingreader, functionjson

ROOT = Path(__file__).parents[2]
APP = ROOT / "functions" / "powershell"
MODULE = APP / "Modules" / "Automation.Bridge"
SETTINGS: dict[str, str] = json.loads((APP / "local.settings.json").read_text())["Values"]
FUNCTIONS, PROBLEMS = functionjson.read_all(APP)
TARGETS = [
    (automation.name, target) for automation in catalog.load(ROOT / "functions" / "automations.yaml") for target in automation.targets
]
NAMES = [each.name for each in FUNCTIONS]


def bindings_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((APP / name / "function.json").read_text())["bindings"]
    return found


def test_every_function_can_be_read_and_all_settings_that_it_names_are_there() -> None:
    assert PROBLEMS == {}
    assert NAMES == ["FilesRetention", "HostInventory", "TextRedact"]
    for each in FUNCTIONS:
        bindingreader.read(each.described(), lambda text: appsettings.resolve(text, SETTINGS), other_outputs=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_takes_its_inputs_and_pushes_only_to_its_outputs(name: str) -> None:
    script = (APP / name / "run.ps1").read_text()
    parameters = set(re.findall(r"\$(\w+)", script[script.index("param(") : script.index(")", script.index("param("))]))
    inputs = {each["name"] for each in bindings_of(name) if each["direction"] == "in"}
    outputs = {each["name"] for each in bindings_of(name) if each["direction"] == "out"}
    assert parameters - {"TriggerMetadata"} == inputs
    assert set(re.findall(r"Push-OutputBinding -Name (\w+)", script)) <= outputs


def test_every_target_of_the_catalogue_is_a_function() -> None:
    routes = {f"/api/{each['route']}" for name in NAMES for each in bindings_of(name) if each["type"] == "httpTrigger"}
    assert routes == {target.http.path for _, target in TARGETS if target.http and target.http.app == "powershell-functions"}
    assert {each["authLevel"] for name in NAMES for each in bindings_of(name) if each["type"] == "httpTrigger"} == {"function"}


def test_every_topic_target_has_a_subscription_that_takes_its_label_and_a_function_that_reads_it() -> None:
    shipped = {topic.name: topic for topic in entities.load(ROOT / "components" / "servicebus.json").topics}
    subscriptions = shipped[SETTINGS["AUTOMATION_TOPIC"]].subscriptions
    read = {
        appsettings.resolve(each["subscriptionName"], SETTINGS)
        for name in NAMES
        for each in bindings_of(name)
        if each["type"] == "serviceBusTrigger"
    }
    labels = {
        rule.properties.correlation_filter.label for each in subscriptions for rule in each.rules if rule.properties.correlation_filter
    }
    assert read == {each.name for each in subscriptions}
    assert labels == {name for name, target in TARGETS if target.topic and target.topic.name == SETTINGS["AUTOMATION_TOPIC"]}


def test_the_manifest_the_module_and_its_files_name_the_same_commands() -> None:
    manifest = (MODULE / "Automation.Bridge.psd1").read_text()
    exported = re.findall(r"'(\w+-\w+)'", manifest[manifest.index("FunctionsToExport") : manifest.index("CmdletsToExport")])
    module = (MODULE / "Automation.Bridge.psm1").read_text()
    loaded = re.findall(r"'(\w+-\w+)'", module[module.index("foreach ($command") : module.index("Register-ArgumentCompleter")])
    files = sorted(path.stem for path in (MODULE / "Public").glob("*.ps1"))
    assert exported == loaded == files
    for name in files:
        assert re.match(rf"function {name} {{\n    <#\n    \.SYNOPSIS\n", (MODULE / "Public" / f"{name}.ps1").read_text())


def test_every_private_file_is_loaded() -> None:
    module = (MODULE / "Automation.Bridge.psm1").read_text()
    loaded = re.findall(r"'(\w+)'", module[module.index("foreach ($part") : module.index("foreach ($command")])
    assert sorted(loaded) == sorted(path.stem for path in (MODULE / "Private").glob("*.ps1"))
    assert "RootModule           = 'Automation.Bridge.psm1'" in (MODULE / "Automation.Bridge.psd1").read_text()


def test_no_file_has_a_byte_order_mark_or_letters_that_windows_powershell_would_misread() -> None:
    for path in (*APP.rglob("*.ps1"), *APP.rglob("*.psm1"), *APP.rglob("*.psd1"), *APP.rglob("function.json")):
        assert path.read_bytes().isascii(), path
