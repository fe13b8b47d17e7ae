from __future__ import annotations

import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import environments


def test_the_environment_in_an_app_s_folder_is_its_own(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    assert environments.existing(tmp_path, "", {}) == str(python)


def test_the_one_that_is_asked_for_wins_and_must_be_there(tmp_path: Path) -> None:
    assert environments.existing(tmp_path, "sh", {}).endswith("/sh")
    with pytest.raises(ConfigurationError, match="no-such-python"):
        environments.existing(tmp_path, "", {"BRIDGE_FUNCTIONS_PYTHON": "no-such-python"})


def test_packages_in_the_folder_are_found_before_others(tmp_path: Path) -> None:
    assert environments.search_path(tmp_path, {}) == {}
    (tmp_path / environments.PACKAGES).mkdir(parents=True)

    assert environments.search_path(tmp_path, {"PYTHONPATH": "x"}) == {"PYTHONPATH": f"{tmp_path / environments.PACKAGES}:x"}


async def test_an_environment_that_cannot_be_made_says_what_pip_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = tmp_path / "python"
    pip.write_text("#!/bin/sh\necho no such package; exit 1\n")
    pip.chmod(0o700)
    monkeypatch.setattr(environments.interpreter, "for_venv", lambda: str(pip))

    with pytest.raises(ConfigurationError, match="no such package"):
        await environments.made(tmp_path, tmp_path / "made")


def wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    """The wheel of a distribution with one module, which is named as it is."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def greeting(python: str) -> str:
    return subprocess.run([python, "-c", "import greeting; print(greeting.version)"], capture_output=True, text=True, check=True).stdout


async def test_an_environment_is_made_once_and_anew_when_the_app_requires_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(environments, "_RUNTIME", str(wheel(tmp_path, "stands_for_the_runtime")))
    monkeypatch.setattr(environments.interpreter, "for_venv", lambda: sys.executable)
    caplog.set_level(logging.INFO)
    app = tmp_path / "app"
    app.mkdir()
    (app / "requirements.txt").write_text(f"{wheel(tmp_path, 'greeting')}\n")

    first, again = [await environments.made(app, tmp_path / "made") for _ in range(2)]

    assert (greeting(first), first) == ("1.0\n", again)
    assert caplog.text.count("one is made from its requirements.txt") == 1
    (app / "requirements.txt").write_text(f"{wheel(tmp_path, 'greeting', '2.0')}\n")
    assert await environments.made(app, tmp_path / "made") != first


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A virtual environment with the distributions `here` 1.5 and `Also.Here` 2.0."""
    packages = tmp_path / "shared" / "lib" / "python3.13" / "site-packages"
    for name, version in (("here", "1.5"), ("also_here", "2.0")):
        with zipfile.ZipFile(wheel(tmp_path, name, version)) as archive:
            archive.extractall(packages)
    (tmp_path / "shared" / "bin").mkdir()
    (tmp_path / "shared" / "bin" / "python").touch()
    return tmp_path / "shared"


@pytest.mark.parametrize(
    ("requirements", "fits"),
    [
        (None, True),
        ("", True),
        ("# nothing but words\n\nhere>=1,<2  # and more\nALSO-here\n", True),
        ("\ufeffhere==1.5\n", True),
        ("absent; python_version < '3.13'\nhere; python_version >= '3.13'\n", True),
        ("absent\n", False),
        ("here>=2\n", False),
        ("absent; python_version >= '3.13'\n", False),
        ("here @ https://example.com/here.whl\n", False),
        ("-r other.txt\n", False),
        ("./wheels/here.whl\n", False),
    ],
)
def test_the_shared_environment_serves_apps_that_require_nothing_else(shared: Path, requirements: str | None, fits: bool) -> None:
    file = shared.parent / "requirements.txt"
    if requirements is not None:
        file.write_text(requirements)

    assert environments.satisfies(shared, file) is fits


def test_an_environment_that_is_not_there_serves_nobody(tmp_path: Path) -> None:
    assert not environments.satisfies(tmp_path / "absent", tmp_path / "requirements.txt")
