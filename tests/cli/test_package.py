"""`bridge functions package`: what it prints, writes and refuses. That a package runs is tried in tests/acceptance."""

from __future__ import annotations

import json
import os
import random
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import bridge
from tests.publishing.app_kit import HTTP, WORKER, python, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def package(*words: str) -> Any:
    return bridge("functions", "package", *words)


def test_the_zip_holds_the_app_its_host_json_and_its_helpers_and_the_next_command_is_printed(folder: Path) -> None:
    python(
        folder / "functions/shop",
        **{"function_app.py": "import bridge_invocation\n", "lib/a.py": "", "local.settings.json": "{}", "tests/a.py": ""},
    )
    made = package("shop", "--out", "dist")
    assert made.exit_code == 0
    names = ["bridge_invocation.py", "function_app.py", "host.json", "lib/a.py", "requirements.txt"]
    assert zipfile.ZipFile(folder / "dist/shop-functions.zip").namelist() == names
    assert "left out:   local.settings.json, tests/" in made.stdout
    assert "added:      bridge_invocation.py, host.json" in made.stdout
    assert made.stdout.endswith("-g GROUP -n NAME --src dist/shop-functions.zip --build-remote true\n")


def test_what_stays_here_is_printed_whatever_its_name(folder: Path) -> None:
    python(folder / "functions/shop", **{".funcignore": "*.log", os.fsdecode(b"\xff.log"): ""})
    assert r"left out:   .funcignore, \xff.log" in package("shop", "--out", "dist").stdout
    assert json.loads(package("shop", "--out", "dist", "--json").stdout)["leftOut"] == [".funcignore", r"\xff.log"]


def test_the_same_app_makes_the_same_zip_again(folder: Path) -> None:
    app = python(folder / "functions/shop")
    first, second = (json.loads(package("shop", "--out", str(app), "--json").stdout) for _ in range(2))
    assert first == second
    assert first["sha256"]


@pytest.mark.parametrize(
    ("files", "builds"),
    [
        ({"function_app.py": "", "requirements.txt": "azure-functions\n"}, True),
        ({"function_app.py": ""}, False),
        ({"function_app.py": "", "requirements.txt": "", ".python_packages/lib/site-packages/a.py": ""}, False),
        ({"Work/function.json": HTTP, "Work/run.ps1": ""}, False),
        ({"worker.config.json": WORKER, "App.dll": "", "host.json": "{}"}, False),
    ],
)
def test_azure_builds_only_what_has_to_be_installed_there(folder: Path, files: dict[str, object], builds: bool) -> None:
    write(folder / "functions/shop", files)
    made = json.loads(package("shop", "--out", "dist", "--json").stdout)
    assert made["next"].endswith(" --build-remote true") == builds


def test_what_cannot_be_packaged_is_refused_with_the_reason_and_nothing_is_written(folder: Path) -> None:
    write(folder / "functions/shop", {"Shop.csproj": "<Project/>"})
    for app, reason in {"shop": "dotnet publish", "nothing": "is not a function app"}.items():
        refused = package(app, "--out", "dist")
        assert refused.exit_code == 2
        assert reason in refused.stderr
    assert not (folder / "dist").exists()


def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    python(folder / "functions/shop")
    write(folder, {"dist": ""})
    refused = package("shop", "--out", "dist")
    assert refused.exit_code == 1
    assert "dist cannot be read or written" in refused.stderr


def test_a_zip_for_which_there_is_no_room_is_named_with_what_to_do_and_nothing_of_it_is_left(folder: Path) -> None:
    python(folder / "functions/shop", **{"data.bin": random.Random(1).randbytes(300_000)})
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, most))
    try:
        refused = package("shop", "--out", "dist")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))
    assert refused.exit_code == 1
    assert refused.stderr == (
        "dist/shop-functions.zip cannot be read or written: File too large.\nFree space in dist, or name another folder with --out.\n"
    )
    assert not list((folder / "dist").iterdir())


def test_another_shared_host_json_may_be_named(folder: Path) -> None:
    python(folder / "functions/shop")
    write(folder, {"azure.json": {"version": "2.0", "functionTimeout": "00:07:00"}})
    assert package("shop", "--out", "dist", "--host-json", "azure.json").exit_code == 0
    with zipfile.ZipFile(folder / "dist/shop-functions.zip") as packed:
        assert json.loads(packed.read("host.json"))["functionTimeout"] == "00:07:00"
