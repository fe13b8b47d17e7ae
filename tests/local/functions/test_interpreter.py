from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import interpreter

CHECKOUT = Path(__file__).parents[3]


def program(path: Path, *, works: bool = True) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {0 if works else 127}\n")
    path.chmod(0o700)
    return str(path)


def test_the_newest_python_that_starts_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.14", works=False)
    program(tmp_path / "pyenv" / "versions" / "3.13.2" / "bin" / "python")
    newest = program(tmp_path / "pyenv" / "versions" / "3.13.11" / "bin" / "python")

    assert interpreter.for_venv({"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}) == newest


def test_without_a_new_python_the_running_one_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.12")

    assert interpreter.for_venv({"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path)}) == sys.executable


def test_it_needs_nothing_but_the_standard_library() -> None:
    asked = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import bridge.local.functions.interpreter",
    ]

    assert subprocess.run(asked, check=False).returncode == 0


def test_the_one_asked_for_wins_over_the_environment(tmp_path: Path) -> None:
    asked, other = program(tmp_path / "asked"), program(tmp_path / "other")

    assert interpreter.for_apps(asked, {"BRIDGE_FUNCTIONS_PYTHON": other}) == asked
    assert interpreter.for_apps("", {"BRIDGE_FUNCTIONS_PYTHON": other}) == other


def test_without_any_the_way_to_get_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigurationError, match="make setup"):
        interpreter.for_apps("", {})
    with pytest.raises(ConfigurationError, match="nowhere is not a program"):
        interpreter.for_apps("nowhere", {})
