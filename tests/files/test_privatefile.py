from __future__ import annotations

import os
import stat
from pathlib import Path

from bridge.files import privatefile


def test_a_file_is_there_for_its_owner_alone_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    privatefile.write(path, "grün")
    assert path.read_text(encoding="utf-8") == "grün"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]


def test_who_reads_a_file_meanwhile_finds_what_it_held_before(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    privatefile.write(path, "old and whole")
    with path.open() as reading:
        privatefile.write(path, "new")
        assert reading.read() == "old and whole"
    assert path.read_text() == "new"


def test_a_draft_that_a_crash_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    (tmp_path / f".{path.name}.{os.getpid()}").write_text("half")
    privatefile.write(path, "whole")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("keys.json", "whole")]
