from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.publishing import contents
from bridge.publishing.contents import FolderContents
from bridge.publishing.leftout import LeftOut
from tests.publishing.app_kit import write


def of(app: Path, besides: str = "app.zip") -> FolderContents:
    return contents.of(app, LeftOut.of(app), app / besides)


def test_a_folder_of_which_nothing_goes_is_one_entry(tmp_path: Path) -> None:
    app = write(
        tmp_path / "app",
        {"tests/a.py": "", "tests/deep/b.py": "", ".venv/pyvenv.cfg": "", "lib/a.log": "", "lib/b.py": "", ".funcignore": "*.log"},
    )
    found = of(app)
    assert found.left_out == [".funcignore", ".venv/", "lib/a.log", "tests/"]
    assert [each.name for each in found.files] == ["lib/b.py"]


def test_hidden_folders_go_because_csharp_apps_have_one(tmp_path: Path) -> None:
    assert [each.name for each in of(write(tmp_path / "app", {".azurefunctions/function.deps.json": "{}"})).files] == [
        ".azurefunctions/function.deps.json"
    ]


def test_what_a_link_leads_to_is_packaged(tmp_path: Path) -> None:
    write(tmp_path / "shared", {"code.py": "shared"})
    app = write(tmp_path / "app", {"own.py": ""})
    (app / "common").symlink_to(tmp_path / "shared")
    (app / "one.py").symlink_to(tmp_path / "shared" / "code.py")
    assert [each.name for each in of(app).files] == ["common/code.py", "one.py", "own.py"]


def test_a_link_to_nowhere_or_in_a_circle_is_refused_with_its_place(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"lib/own.py": ""})
    (app / "lib" / "gone").symlink_to("nowhere")
    with pytest.raises(ConfigurationError, match=r"lib/gone is a link to nowhere"):
        of(app)
    (app / "lib" / "gone").unlink()
    (app / "lib" / "again").symlink_to(app)
    with pytest.raises(ConfigurationError, match=r"lib/again leads back to"):
        of(app)
    write(app, {".funcignore": "lib/again\n"})
    assert of(app).left_out == [".funcignore", "lib/again/"]


@pytest.mark.parametrize("name", [b"\xff.txt", b"lib/\xff.txt", b"\xff/a.txt"])
def test_a_name_that_a_zip_cannot_hold_is_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"not text in UTF-8.*\.funcignore"):
        of(write(tmp_path / "app", {"own.py": "", os.fsdecode(name): ""}))


def test_a_name_that_a_zip_cannot_hold_may_stay_at_home_and_is_told_as_text(tmp_path: Path) -> None:
    stays = [b"tests/\xff.txt", b"lib/\xff.log", b"\xfe/pyvenv.cfg"]
    app = write(tmp_path / "app", {".funcignore": "*.log", "lib/own.py": "", **{os.fsdecode(name): "" for name in stays}})
    found = of(app)
    assert [each.name for each in found.files] == ["lib/own.py"]
    assert found.left_out == [".funcignore", r"lib/\xff.log", "tests/", r"\xfe/"]


def test_a_package_is_not_packaged_into_the_next(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"own.py": "", "out/app.zip": b"PK"})
    assert [each.name for each in of(app, "out/app.zip").files] == ["own.py"]


def test_pipes_and_sockets_are_no_files(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"own.py": ""})
    os.mkfifo(app / "pipe")
    assert [each.name for each in of(app).files] == ["own.py"]
