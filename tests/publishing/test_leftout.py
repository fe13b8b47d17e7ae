from __future__ import annotations

from pathlib import Path

import pytest

from bridge.adapters.embedded import data_directory, database
from bridge.errors import ConfigurationError
from bridge.publishing import contents, leftout
from bridge.publishing.leftout import LeftOut
from tests.publishing.app_kit import HTTP, write


def packed(app: Path) -> list[str]:
    return [each.name for each in contents.of(app, LeftOut.of(app), app.parent / "app.zip").files]


HOME = {
    "local.settings.json": "{}",
    "lib/local.settings.json": "{}",
    ".git/config": "",
    ".venv/pyvenv.cfg": "",
    "my-environment/pyvenv.cfg": "",
    "my-environment/lib/code.py": "",
    "__pycache__/a.pyc": "",
    "lib/__pycache__/a.pyc": "",
    "host.override.json": "{}",
    ".bridge/functions.json": {"shop": {"masterKey": "secret"}},
    ".servicebus/servicebus.json": "{}",
    "state/bridge.db": "",
    "state/functions.json": "{}",
    "lib/.bridge/servicebus.json": "{}",
}
USUAL = {"tests/test_a.py": "", ".env": "", ".vscode/settings.json": "", ".gitignore": "", ".mypy_cache/a": "", "testdata/a.json": ""}


def test_what_azure_must_not_get_and_what_it_does_not_need_stays_at_home(tmp_path: Path) -> None:
    assert packed(write(tmp_path / "app", {**HOME, **USUAL, "function_app.py": ""})) == ["function_app.py"]


def test_funcignore_has_the_form_of_a_gitignore(tmp_path: Path) -> None:
    ignored = "# notes\n*.md\n/data/*\n!/data/keep.csv\nfixtures/\n"
    files = {"a.md": "", "lib/b.md": "", "data/big.csv": "", "data/keep.csv": "", "lib/fixtures/c.json": "", "lib/code.py": ""}
    assert packed(write(tmp_path / "app", {".funcignore": ignored, **files})) == ["data/keep.csv", "lib/code.py"]


def test_funcignore_brings_back_what_is_usually_left_out_but_no_secret(tmp_path: Path) -> None:
    ignored = "!tests\n!tests/**\n!.env\n!local.settings.json\n!.venv\n!.venv/**\n!.bridge\n!.bridge/**\n"
    assert packed(write(tmp_path / "app", {".funcignore": ignored, **HOME, **USUAL})) == [".env", "tests/test_a.py"]


def test_a_function_may_be_called_tests(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"tests/function.json": HTTP, "tests/run.ps1": "", "test/a.ps1": ""})
    assert packed(app) == ["tests/function.json", "tests/run.ps1"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"ok\n!\n", b"a[\xff"])
def test_a_funcignore_that_cannot_be_read_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    app = write(tmp_path / "app", {".funcignore": content})
    with pytest.raises(ConfigurationError, match=r"app/\.funcignore cannot be read: .*gitignore"):
        LeftOut.of(app)


@pytest.mark.parametrize(
    "target",
    [
        "local.settings.json",
        "host.override.json",
        "../elsewhere/local.settings.json",
        ".bridge",
        ".bridge/functions.json",
        "../.bridge/demo",
        "../state",
        "../state/relay/functions.json",
        ".git/config",
        "../elsewhere/venv",
    ],
)
def test_a_link_under_another_name_brings_no_secret(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"elsewhere/local.settings.json": "{}", "elsewhere/venv/pyvenv.cfg": "", "state/bridge.lock": ""})
    write(tmp_path, {"state/relay/functions.json": "{}", ".bridge/demo/functions.json": "{}"})
    app = write(tmp_path / "app", {**HOME, "own.py": ""})
    (app / "config.json").symlink_to(target)
    (tmp_path / "link").symlink_to(app)  # and the app itself may be found by way of a link
    assert (app / "config.json").exists()
    assert packed(app) == packed(tmp_path / "link") == ["own.py"]


def test_an_app_that_lies_in_the_data_directory_of_a_bridge_is_packaged_with_what_its_links_name(tmp_path: Path) -> None:
    write(tmp_path, {"state/bridge.lock": "", "state/.bridge/app/own.py": ""})
    app = tmp_path / "state" / ".bridge" / "app"
    (app / "again.py").symlink_to("own.py")
    assert packed(app) == ["again.py", "own.py"]


@pytest.mark.parametrize("name", [data_directory.LOCK_FILE, database.FILE])
def test_the_data_directory_of_a_bridge_is_no_app_to_package(tmp_path: Path, name: str) -> None:
    app = write(tmp_path / "app", {"own.py": "", name: ""})
    assert leftout.is_data_directory(app)
    with pytest.raises(ConfigurationError, match="app is the data directory of a bridge, too"):
        LeftOut.of(app)
