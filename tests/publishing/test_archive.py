from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from bridge.publishing import archive
from bridge.publishing.contents import PackedFile
from tests.publishing.app_kit import write


def test_the_same_files_make_the_same_bytes_whenever_and_by_whomever(tmp_path: Path) -> None:
    made = []
    for number, (umask, order) in enumerate([(0o022, 1), (0o077, -1)]):
        before = os.umask(umask)
        app = write(tmp_path / str(number), {"b.py": "b" * 10_000, "a/c.py": "c"})
        os.umask(before)
        os.utime(app / "b.py", (1e9 + number, 1e9 + number))
        files = [PackedFile("b.py", app / "b.py"), PackedFile("a/c.py", app / "a/c.py"), PackedFile("host.json", b"{}")]
        digest = archive.write(files[::order], tmp_path / f"{number}.zip")
        made.append((tmp_path / f"{number}.zip").read_bytes())
        assert digest == hashlib.sha256(made[-1]).hexdigest()
    assert made[0] == made[1]


def test_programs_are_programs_and_nothing_else_is(tmp_path: Path) -> None:
    archive.write([PackedFile("handler", b"\x7fELF", executable=True), PackedFile("a.py", b"")], tmp_path / "out" / "a.zip")
    with zipfile.ZipFile(tmp_path / "out" / "a.zip") as packed:
        assert {each.filename: each.external_attr >> 16 for each in packed.infolist()} == {"a.py": 0o100644, "handler": 0o100755}


def test_what_fails_leaves_the_package_of_before_and_nothing_else(tmp_path: Path) -> None:
    archive.write([PackedFile("a.py", b"first")], tmp_path / "a.zip")
    before = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(FileNotFoundError):
        archive.write([PackedFile("a.py", b"second"), PackedFile("b.py", tmp_path / "gone.py")], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]
