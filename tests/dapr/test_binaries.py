"""Where the sidecar's program is looked for."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest

from tools import goprograms
from tools.dapr import binaries


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """A machine without Dapr."""
    monkeypatch.delenv("BRIDGE_DAPRD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(goprograms, "_GO", ())
    return tmp_path


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho 1.2.3\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_nearest_one_is_taken(elsewhere, monkeypatch):
    built = program(elsewhere / "home/.cache/automation-bridge" / binaries.VERSION / "daprd")
    assert binaries.find() == built
    of_the_cli = program(elsewhere / "home" / ".dapr" / "bin" / "daprd")
    assert binaries.find() == of_the_cli
    on_the_path = program(elsewhere / "path" / "daprd")
    assert binaries.find() == on_the_path
    named = program(elsewhere / "named")
    monkeypatch.setenv("BRIDGE_DAPRD", str(named))
    assert binaries.find() == named


def test_nothing_has_to_be_installed_for_it():
    without_packages = [sys.executable, "-S", "-W", "error", "-c", "from tools.dapr import binaries"]
    subprocess.run(without_packages, cwd=binaries.HERE.parents[1], check=True, timeout=60)


def test_the_variable_is_for_daprd_alone(elsewhere, monkeypatch):
    monkeypatch.setenv("BRIDGE_DAPRD", str(program(elsewhere / "named")))
    built = program(elsewhere / "home/.cache/automation-bridge" / binaries.VERSION / "sentry")
    assert binaries.find("sentry") == built


def test_a_variable_that_names_nothing_is_told(monkeypatch, capsys):
    monkeypatch.setenv("BRIDGE_DAPRD", "/no/such/daprd")
    assert binaries.main() == 1
    assert "/no/such/daprd" in capsys.readouterr().err


def test_without_go_it_says_what_to_install(capsys):
    assert binaries.main() == 1
    assert "https://go.dev/dl" in capsys.readouterr().err


def test_it_says_what_it_has_found(elsewhere, capsys):
    found = program(elsewhere / "path" / "daprd")
    assert binaries.main() == 0
    said = capsys.readouterr().out
    assert f"daprd 1.2.3: {found}" in said
    assert binaries.VERSION in said


def test_what_is_built_is_found_from_every_checkout(elsewhere, monkeypatch):
    program(elsewhere / "path" / "go").write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n/bin/cp /bin/true "$2"\n')
    binaries.build()
    built = elsewhere / "home/.cache/automation-bridge" / binaries.VERSION
    assert binaries.find() == built / "daprd"
    assert sorted(path.name for path in built.iterdir()) == sorted(binaries.PROGRAMS)
