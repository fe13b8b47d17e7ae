from __future__ import annotations

from pathlib import Path

import pytest

from bridge.publishing import apppackage, namedapp
from bridge.publishing.apppackage import AppPackage
from tests.publishing.app_kit import BUNDLE, HTTP, WORKER, python, write

HOST = {"version": "2.0", "extensionBundle": BUNDLE}


def package(app: Path) -> AppPackage:
    return apppackage.of(namedapp.find(app.parent, str(app)), app.parent, app.parent / "host.json")


def test_an_app_that_has_all_gives_no_cause_for_a_note(tmp_path: Path) -> None:
    local = {"Values": {"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsStorage": ""}}
    app = python(tmp_path / "shop", **{"host.json": HOST, "local.settings.json": local})
    assert package(app).notes == []


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"host.json": {"version": "2.0"}}, "no extensionBundle, so Azure has HTTP and timers only"),
        ({"function_app.py": "import bridge_result\n"}, "needs a line cloudevents"),
        ({"local.settings.json": {"Values": {"TOPIC": "a", "BUS": "secret"}}}, "settings of its own for BUS, TOPIC."),
    ],
)
def test_what_is_to_be_done_on_azure_is_said_without_a_value(tmp_path: Path, files: dict[str, object], note: str) -> None:
    (said,) = package(python(tmp_path / "shop", **{"host.json": HOST, **files})).notes
    assert note in said
    assert "secret" not in said


def test_modules_that_flex_consumption_does_not_install_are_named(tmp_path: Path) -> None:
    app = write(
        tmp_path / "shop",
        {"Work/function.json": HTTP, "Work/run.ps1": "", "host.json": HOST, "requirements.psd1": "@{\n  # 'Az' = '1'\n}\n"},
    )
    assert package(app).notes == []
    write(app, {"requirements.psd1": "@{\n  'Az.Accounts' = '5.*'\n}\n"})
    assert "Save-Module" in package(app).notes[0]


def test_a_function_that_cannot_run_is_named(tmp_path: Path) -> None:
    files = {"Work/function.json": HTTP, "Work/run.ps1": "", "Broken/function.json": "{", "host.json": HOST}
    (said,) = package(write(tmp_path / "shop", files)).notes
    assert said.startswith("Broken does not run, here or in Azure: ")


def test_a_csharp_app_needs_no_bundle(tmp_path: Path) -> None:
    assert package(write(tmp_path / "shop", {"worker.config.json": WORKER, "App.dll": "", "host.json": {"version": "2.0"}})).notes == []


def test_settings_that_cannot_be_read_are_nothing_to_a_package(tmp_path: Path) -> None:
    assert package(python(tmp_path / "shop", **{"host.json": HOST, "local.settings.json": "{"})).notes == []
