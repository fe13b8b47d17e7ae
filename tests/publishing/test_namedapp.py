from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions.apps import Language
from bridge.publishing import namedapp
from tests.publishing.app_kit import WORKER, python, write


@pytest.mark.parametrize("named", ["shop", "shop-functions", "functions/shop", "./functions/shop/"])
def test_an_app_is_found_by_its_folder_its_name_in_the_catalogue_and_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    python(tmp_path / "functions" / "shop")
    found = namedapp.find(tmp_path / "functions", named)
    assert (found.name, found.directory, found.language) == ("shop-functions", tmp_path / "functions" / "shop", Language.PYTHON)


def test_an_app_is_found_from_inside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(python(tmp_path / "shop"))
    assert namedapp.find(tmp_path / "functions", ".").name == "shop-functions"


@pytest.mark.parametrize("named", ["shops", "", "functions/nothing"])
def test_what_names_no_app_is_refused_with_those_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.chdir(tmp_path)
    python(tmp_path / "functions" / "shop")
    with pytest.raises(ConfigurationError, match=r"is not a function app.* are shop"):
        namedapp.find(tmp_path / "functions", named)


def test_a_folder_that_is_no_app_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a function app: it has no function_app\.py"):
        namedapp.find(tmp_path, str(write(tmp_path / "docs", {"a.md": ""})))


def test_a_csharp_source_is_refused_with_the_command_that_publishes_it(tmp_path: Path) -> None:
    app = write(tmp_path / "shop", {"Shop.csproj": "<Project/>", "host.json": "{}"})
    with pytest.raises(ConfigurationError, match=rf"`dotnet publish {app} -c Release -o {tmp_path}/shop-published`, and package"):
        namedapp.find(tmp_path, str(app))
    output = write(app / "bin/Release/net10.0/publish", {"worker.config.json": WORKER, "App.dll": ""})
    with pytest.raises(ConfigurationError, match=rf"There is an output in {output} already"):
        namedapp.find(tmp_path, str(app))
    assert namedapp.find(tmp_path, str(output)).language is Language.DOTNET
