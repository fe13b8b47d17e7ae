from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.local.functions import functionjson

TIMER = {"type": "timerTrigger", "name": "Timer"}


def write(folder: Path, content: Any, *files: str, encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "function.json").write_text(text, encoding)
    for name in files:
        (folder / name).touch()
    return folder


def test_a_function_is_its_folder(tmp_path: Path) -> None:
    found = functionjson.read(write(tmp_path / "Nightly", {"bindings": [TIMER], "disabled": True, "timeout": 5}, "run.ps1", "notes.txt"))

    assert (found.name, found.script, found.entry_point) == ("Nightly", tmp_path / "Nightly" / "run.ps1", "")
    assert found.bindings == [{"direction": "in", **TIMER}]


@pytest.mark.parametrize(
    ("content", "files", "script"),
    [
        ({}, ["main.ps1"], "F/main.ps1"),
        ({}, ["main.ps1", "run.ps1"], "F/run.ps1"),
        ({"scriptFile": "../lib/m.psm1"}, ["run.ps1"], "lib/m.psm1"),
        ({"scriptFile": "..\\lib\\m.psm1"}, [], "lib/m.psm1"),
    ],
)
def test_the_script_is_the_one_that_is_named_or_alone_or_called_run(
    tmp_path: Path, content: dict[str, str], files: list[str], script: str
) -> None:
    folder = write(tmp_path / "F", {"bindings": [TIMER], **content}, *files)

    assert functionjson.read(folder).script == tmp_path / script


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_file_may_have_a_mark_comments_and_trailing_commas(tmp_path: Path, encoding: str) -> None:
    text = '{ // what starts it\n "bindings": [{"type": "timerTrigger", "name": "Žluť",},], }'

    assert functionjson.read(write(tmp_path / "F", text, "run.ps1", encoding=encoding)).bindings[0]["name"] == "Žluť"


@pytest.mark.parametrize(
    ("name", "content", "files", "problem"),
    [
        ("F", "{", ["run.ps1"], "cannot be read"),
        ("F", "[]", ["run.ps1"], "'bindings'"),
        ("F", "7", ["run.ps1"], "cannot be read"),
        ("F", {}, ["run.ps1"], "'bindings'"),
        ("F", {"bindings": [{"type": "timerTrigger"}]}, ["run.ps1"], "'name'"),
        ("F", {"bindings": [TIMER]}, [], "Unable to determine the primary function script"),
        ("F", {"bindings": [TIMER]}, ["a.ps1", "b.ps1"], "Unable to determine the primary function script"),
        ("7up", {"bindings": [TIMER]}, ["run.ps1"], "not a valid function name"),
        ("host", {"bindings": [TIMER]}, ["run.ps1"], "not a valid function name"),
    ],
)
def test_what_is_wrong_is_a_problem_of_that_function_alone(tmp_path: Path, name: str, content: Any, files: list[str], problem: str) -> None:
    write(tmp_path / name, content, *files)
    write(tmp_path / "Good", {"bindings": [TIMER]}, "run.ps1")

    functions, problems = functionjson.read_all(tmp_path)

    assert [each.name for each in functions] == ["Good"]
    assert problem in problems[name]
