from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import apps
from bridge.local.functions.apps import AppFolder
from bridge.publishing import contents, programs
from bridge.publishing.leftout import LeftOut
from tests.publishing.app_kit import HTTP, WORKER, python, write

HANDLER = {"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}}}


def check(folder: Path) -> None:
    language = apps.language_of(folder)
    assert language is not None
    programs.check(AppFolder("app-functions", folder, language), contents.of(folder, LeftOut.of(folder), folder / "app.zip").files)


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        ({"function_app.py": ""}, "function_app.py"),
        ({"Work/function.json": HTTP, "Work/run.ps1": ""}, "Work/run.ps1"),
        ({"Work/function.json": {**HTTP, "scriptFile": "../tests/work.ps1"}, "tests/work.ps1": "", "Work/a.ps1": ""}, "tests/work.ps1"),
        ({"Work/function.json": HTTP, "host.json": HANDLER, "handler": ""}, "handler"),
        ({"worker.config.json": WORKER, "App.dll": "", "host.json": "{}"}, "App.dll"),
    ],
)
def test_a_file_without_which_the_app_does_not_run_may_not_be_left_out(tmp_path: Path, files: dict[str, object], left_out: str) -> None:
    app = write(tmp_path, files)
    (app / ".funcignore").write_text(f"!tests\n!tests/**\n{left_out}\n")
    with pytest.raises(ConfigurationError, match=rf"{left_out} would be left out.*`!/{left_out}`"):
        check(app)
    (app / ".funcignore").write_text(f"!tests\n!tests/**\n{left_out}\n!/{left_out}\n")
    check(app)


def test_a_handler_that_was_not_built_is_refused_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"starts handler, and there is no such file.*GOOS=linux.*go build -o handler"):
        check(write(tmp_path, {"Work/function.json": HTTP, "host.json": HANDLER}))


@pytest.mark.parametrize(
    "description",
    [
        {"defaultExecutablePath": "node", "arguments": ["server.js"]},
        {"defaultExecutablePath": "/usr/bin/node"},
        {"defaultExecutablePath": "%HANDLER%"},
    ],
)
def test_a_handler_that_is_a_program_of_the_machine_is_taken(tmp_path: Path, description: dict[str, object]) -> None:
    host = {"version": "2.0", "customHandler": {"description": description}}
    check(write(tmp_path, {"Work/function.json": HTTP, "host.json": host}))


def test_a_csharp_app_that_lost_its_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"names App\.dll, and there is no such file; publish the app again"):
        check(write(tmp_path, {"worker.config.json": WORKER}))


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"work\.ps1 is not there, and a function\.json names it"):
        check(write(tmp_path, {"Work/function.json": {**HTTP, "scriptFile": "work.ps1"}, "Work/run.ps1": ""}))


def test_a_python_app_with_all_it_needs_is_taken(tmp_path: Path) -> None:
    check(python(tmp_path))
