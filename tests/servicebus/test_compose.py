"""deploy/image/compose.yaml: Microsoft's emulator for those who have Docker. Docker is not needed to read it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.acceptance.bridge_process import ROOT
from tests.cli.commands import bridge

FILE = ROOT / "deploy" / "image" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_an_exact_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+\.\d+|\d{4}-CU\d+-", tag)
    assert "latest" not in tag


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_open_on_loopback_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name]
    assert not SERVICES[name].get("privileged")


def test_nobody_accepts_terms_or_chooses_a_password_for_the_user() -> None:
    for name in ("servicebus", "sql"):
        environment = SERVICES[name]["environment"]
        for variable in ("ACCEPT_EULA", "MSSQL_SA_PASSWORD"):
            assert environment[variable].startswith(f"${{{variable}:?")
    assert SERVICES["servicebus"]["environment"]["SQL_SERVER"] in SERVICES


def test_the_emulator_reads_the_file_that_the_command_in_the_comment_writes(tmp_path: Any) -> None:
    command = re.search(r"bridge local servicebus --emulator-config (\S+)", FILE.read_text())
    assert command is not None
    source, target, mode = SERVICES["servicebus"]["volumes"][0].split(":")
    assert (FILE.parent / source).resolve() == ROOT / command[1]
    assert (target, mode) == ("/ServiceBus_Emulator/ConfigFiles/Config.json", "ro")
    result = bridge("local", "servicebus", "--emulator-config", str(tmp_path / "Config.json"))
    assert result.exit_code == 0
    assert "automation-deadletters: MaxDeliveryCount 2147483647 became 10" in " ".join(result.output.split())
    assert json.loads((tmp_path / "Config.json").read_text())["UserConfig"]["Namespaces"][0]["Name"] == "sbemulatorns"
