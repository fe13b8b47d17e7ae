from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.publishing import contents
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
}
USUAL = {"tests/test_a.py": "", ".env": "", ".vscode/settings.json": "", ".gitignore": "", ".mypy_cache/a": "", "testdata/a.json": ""}


def test_what_azure_must_not_get_and_what_it_does_not_need_stays_at_home(tmp_path: Path) -> None:
    assert packed(write(tmp_path / "app", {**HOME, **USUAL, "function_app.py": ""})) == ["function_app.py"]


def test_funcignore_has_the_form_of_a_gitignore(tmp_path: Path) -> None:
    ignored = "# notes\n*.md\n/data/*\n!/data/keep.csv\nfixtures/\n"
    files = {"a.md": "", "lib/b.md": "", "data/big.csv": "", "data/keep.csv": "", "lib/fixtures/c.json": "", "lib/code.py": ""}
    assert packed(write(tmp_path / "app", {".funcignore": ignored, **files})) == ["data/keep.csv", "lib/code.py"]


def test_funcignore_brings_back_what_is_usually_left_out_but_no_secret(tmp_path: Path) -> None:
    ignored = "!tests\n!tests/**\n!.env\n!local.settings.json\n!.venv\n!.venv/**\n"
    assert packed(write(tmp_path / "app", {".funcignore": ignored, **HOME, **USUAL})) == [".env", "tests/test_a.py"]


def test_a_function_may_be_called_tests(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"tests/function.json": HTTP, "tests/run.ps1": "", "test/a.ps1": ""})
    assert packed(app) == ["tests/function.json", "tests/run.ps1"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"ok\n!\n", b"a[\xff"])
def test_a_funcignore_that_cannot_be_read_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    app = write(tmp_path / "app", {".funcignore": content})
    with pytest.raises(ConfigurationError, match=r"app/\.funcignore cannot be read: .*gitignore"):
        LeftOut.of(app)
