"""Which folders are function apps, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import apps
from bridge.local.functions.apps import Language


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_json", ".json").replace("_py", ".py")).write_text(text)
    return folder


def test_an_app_has_the_name_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "shop", function_app_py="")

    assert [(each.name, each.language) for each in apps.discover(tmp_path)] == [("shop-functions", Language.PYTHON)]


def test_a_folder_that_is_meant_to_be_an_app_is_named_and_any_other_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "shop", function_app_py="")
    write(tmp_path / "meant", host_json="{}")
    write(tmp_path / "shared", words_py="")

    assert len(apps.discover(tmp_path)) == 1
    assert f"{tmp_path / 'meant'} is not run: it has host.json, but no function_app.py, and no" in caplog.text
    assert "shared" not in caplog.text


def test_a_name_that_no_catalogue_takes_is_told_with_the_mend(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "My App", function_app_py="")

    assert apps.discover(tmp_path)[0].name == "My App-functions"
    assert "which no catalogue can name: rename the folder" in caplog.text


def test_a_folder_without_apps_is_refused_and_an_app_itself_with_the_folder_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a folder; --apps must name the folder"):
        apps.discover(tmp_path / "absent")
    with pytest.raises(ConfigurationError, match=r"holds no function app: none of its folders has a function_app\.py"):
        apps.discover(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"It is an app itself: name the folder above it, {tmp_path}\."):
        apps.discover(write(tmp_path / "shop", function_app_py=""))
