"""The log that does not grow for ever, written by a process and by one that it has started."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, subprocess, sys
from pathlib import Path
from bridge.local.functions.logfile import LogFile

log = LogFile(Path(sys.argv[1]), largest=100)
log.take_over()
for number in range(int(sys.argv[2])):
    print("x" * 50, number, flush=True)
    log.keep_small()
    os.write(2, b"after\\n")
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "data" / "functions.log"


def write(log: Path, lines: int) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(log), str(lines)], check=True)


def test_below_its_size_there_is_one_file(log: Path) -> None:
    write(log, 1)
    assert [each.name for each in log.parent.iterdir()] == ["functions.log"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_log_that_becomes_too_large_is_begun_anew_and_no_line_is_lost(log: Path) -> None:
    write(log, 3)
    old = log.with_name("functions.log.old")
    assert [line[-1] for line in (old.read_text() + log.read_text()).splitlines()] == ["0", "r", "1", "r", "2", "r"]
    assert (old.stat().st_size > 100, log.stat().st_size < 100) == (True, True)


def test_one_old_log_is_kept(log: Path) -> None:
    write(log, 50)
    assert sorted(each.name for each in log.parent.iterdir()) == ["functions.log", "functions.log.old"]
    assert sum(each.stat().st_size for each in log.parent.iterdir()) < 400


def test_a_log_that_is_too_large_already_is_begun_anew_at_the_start(log: Path) -> None:
    log.parent.mkdir()
    log.write_text("y" * 1000)
    write(log, 1)
    assert log.stat().st_size < 100


def test_a_log_that_somebody_removed_is_begun_anew(log: Path) -> None:
    removing = PROGRAM.replace("log.keep_small()\n", "Path(sys.argv[1]).unlink(missing_ok=True); log.keep_small()\n", 1)
    subprocess.run([sys.executable, "-c", removing, str(log), "2"], check=True)
    assert log.read_text() == "after\n"
