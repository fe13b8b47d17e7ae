from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bridge import catalog, entities, resilience, settings
from bridge.cli import app
from bridge.files import packaged

CHECKOUT = Path(__file__).parents[2]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_it_writes_a_set_that_can_be_used_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "trial"

    assert run("init", str(folder))[0] == 0

    found = settings.load({"config": "bridge.yaml"}, {}, folder)
    assert found.functions == folder / "functions"
    assert list(catalog.load(found.catalogue).automations) == ["greeting.write"]
    assert entities.load(found.entities).topics
    assert resilience.load(found.resiliency)
    assert (folder / "functions/python/function_app.py").exists()


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_text("mine")

    code, output = run("init", str(tmp_path))

    assert (code, (tmp_path / "bridge.yaml").read_text(), len(list(tmp_path.iterdir()))) == (2, "mine", 1)
    assert "bridge.yaml" in output


def test_a_folder_without_files_has_the_packages_own(tmp_path: Path) -> None:
    found = settings.load({}, {}, tmp_path)

    assert catalog.load(found.catalogue).automations == {}
    assert entities.load(found.entities).topics
    assert resilience.load(found.resiliency)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert settings.load({"catalogue": "mine.yaml"}, {}, tmp_path).catalogue == tmp_path / "mine.yaml"


@pytest.mark.parametrize(("shipped", "name"), [("functions/resiliency.yaml", "resiliency.yaml"), ("host.json", "host.json")])
def test_what_the_package_has_is_what_the_repository_has(shipped: str, name: str) -> None:
    assert (packaged.FOLDER / name).read_bytes() == (CHECKOUT / shipped).read_bytes()


def test_the_entities_of_the_package_are_those_of_the_repository_without_the_subscriptions_of_the_samples() -> None:
    def topics(file: Path) -> dict[str, Any]:
        (namespace,) = json.loads(file.read_text())["UserConfig"]["Namespaces"]
        return {each["Name"]: each for each in namespace["Topics"]} | {"": namespace["Queues"]}

    mine, shipped = topics(packaged.FOLDER / "servicebus.json"), topics(CHECKOUT / "components" / "servicebus.json")
    for samples in ("automation-python", "automation-powershell"):
        assert shipped[samples].pop("Subscriptions")
        assert mine[samples].pop("Subscriptions") == []
    assert mine == shipped


def test_the_doctor_finds_nothing_in_what_init_writes_and_a_new_automation_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init", ".")[0] == 0
    assert run("new", "automation", "disk.report", "--language", "python", "--trigger", "topic")[0] == 0
    assert run("doctor") == (0, "Nothing was found in 4 files.\n")


def test_without_a_host_the_list_of_functions_says_how_to_start_one(tmp_path: Path) -> None:
    code, output = run("functions", "list", "--data-dir", str(tmp_path))

    assert (code, "bridge up --functions" in output) == (5, True)


def test_an_app_that_does_not_answer_is_in_the_list(tmp_path: Path) -> None:
    (tmp_path / "functions.json").write_text(json.dumps({"a-functions": {"url": "http://127.0.0.1:9", "masterKey": "k"}}))

    code, output = run("--json", "functions", "list", "--data-dir", str(tmp_path))

    assert (code, json.loads(output)[0]["app"]) == (0, "a-functions")
