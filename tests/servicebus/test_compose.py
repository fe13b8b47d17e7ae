"""deploy/image/compose.yaml: Microsoft's emulator for those who have Docker. Docker is not needed to read it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import catalog, entities
from bridge.settings import load
from tests.acceptance.bridge_process import ROOT
from tests.cli.commands import bridge
from tests.dapr.namespace import connect, resources
from tests.dapr.sidecar import on_loopback
from tools.dapr import binaries

FILE = ROOT / "deploy" / "image" / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FLAGS = dict(word.removeprefix("--").split("=", 1) for word in SERVICES["daprd"]["command"][1:])


@pytest.mark.parametrize("name", [name for name in SERVICES if "image" in SERVICES[name]])
def test_an_image_has_an_exact_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+\.\d+|\d{4}-CU\d+-", tag)
    assert "latest" not in tag


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_open_on_loopback_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") in (None, "service:bridge")
    assert not SERVICES[name].get("privileged")


def mounted(service: str) -> dict[str, Path]:
    """What the service sees, by its place there."""
    places = [volume.split(":") for volume in SERVICES[service]["volumes"] if volume.startswith(".")]
    assert {mode for _, _, mode in places} == {"ro"}
    return {target: (FILE.parent / source).resolve() for source, target, _ in places}


@pytest.mark.parametrize("name", ["bus.yaml", "queues.yaml"])
def test_the_sidecar_reaches_the_emulator_as_it_reaches_azure_but_for_the_connection_string(name: str, tmp_path: Path) -> None:
    copied = tmp_path / name
    copied.write_text((ROOT / "components" / "azure" / name).read_text())
    connect(copied)
    assert yaml.safe_load(mounted("daprd")[f"{FLAGS['resources-path']}/{name}"].read_text()) == yaml.safe_load(copied.read_text())


def test_the_sidecar_has_the_resources_with_which_the_bridge_is_tested_on_service_bus(tmp_path: Path) -> None:
    tested = {each.name for each in resources(tmp_path).iterdir()} - {"configuration.yaml"}
    seen = mounted("daprd")
    assert {Path(place).name for place in seen if place.startswith("/components/")} == tested
    assert yaml.safe_load(seen[FLAGS["config"]].read_text())["kind"] == "Configuration"
    assert all(file.is_file() for file in seen.values())


def test_the_sidecar_is_of_the_version_and_has_the_flags_of_the_tests() -> None:
    assert SERVICES["daprd"]["image"] == f"daprio/daprd:{binaries.VERSION}"
    known = on_loopback("automation-bridge", 8081, (3500, 50001, 50002, 9090))
    assert {name: FLAGS[name] for name in FLAGS.keys() & known.keys()} == {name: str(known[name]) for name in FLAGS.keys() & known.keys()}
    assert (FLAGS["app-protocol"], FLAGS["max-body-size"]) == ("grpc", "16Mi")
    # Passed on from the shell: no file has them, and whoever starts the emulator alone needs none.
    for name in ("bridge", "daprd"):
        assert {"APP_API_TOKEN", "DAPR_API_TOKEN"} <= set(SERVICES[name]["environment"])


def test_the_bridge_takes_the_settings_that_it_is_given(tmp_path: Path) -> None:
    text = re.sub(r"\$\{BRIDGE_TOKEN_SHA256:[^}]*\}", "0" * 64, COMPOSE["configs"]["settings"]["content"])
    places = mounted("bridge")
    for target, source in places.items():
        text = text.replace(target, str(source))
    config = tmp_path / "bridge.yaml"
    config.write_text(text)
    settings = load({"config": config}, {}, tmp_path)
    assert (settings.runtime, settings.host, settings.tokens[0].roles) == ("dapr", "0.0.0.0", ("admin",))  # noqa: S104 - in its container
    http = [target.http for automation in catalog.load(settings.catalogue) for target in automation.targets if target.http]
    assert {target.app for target in http} <= settings.function_apps.keys()
    assert entities.load(settings.entities).topics
    assert (config_place(), SERVICES["bridge"]["command"]) == ("/etc/bridge/bridge.yaml", ["up", "--config", "/etc/bridge/bridge.yaml"])


def config_place() -> str:
    (config,) = SERVICES["bridge"]["configs"]
    assert config["source"] in COMPOSE["configs"]
    return str(config["target"])


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
