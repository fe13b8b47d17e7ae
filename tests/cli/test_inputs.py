"""What is written on the command line, and what is sent for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from bridge.cli import inputs
from bridge.cli.exits import Exit
from tests.cli.commands import bridge, sent
from tests.scripted_api import ScriptedApi


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a=5", 5),
        ("a=true", True),
        ("a=null", None),
        ("a=[1, 2]", [1, 2]),
        ('a="5"', "5"),
        ("a=db1", "db1"),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ("a=NaN", "NaN"),
        ("a=1152921504606846977", 2**60 + 1),
    ],
)
def test_a_value_is_json_where_it_parses_and_else_text(word: str, value: Any) -> None:
    assert inputs.build(None, [word]) == {"a": value}


def test_a_value_may_be_the_text_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("5\n")
    assert inputs.build(None, [f"pem=@{tmp_path / 'a.pem'}"]) == {"pem": "5\n"}


def test_words_go_over_the_input_file(tmp_path: Path, api: ScriptedApi) -> None:
    (tmp_path / "in.json").write_text('{"a": 1, "b": 2}')
    assert bridge("submit", "works", "b=3", "--input", str(tmp_path / "in.json")).exit_code == Exit.OK
    assert sent(api) == {"a": 1, "b": 3}


def test_the_input_may_come_from_standard_input(api: ScriptedApi) -> None:
    bridge("submit", "works", "--input", "-", input='{"n": 1152921504606846977}')
    assert sent(api) == {"n": 2**60 + 1}


@pytest.mark.parametrize("text", ["[1]", "not json"])
def test_words_need_an_input_that_is_an_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(typer.BadParameter):
        inputs.build(str(tmp_path / "in.json"), ["a=1"])


def test_a_time_may_be_a_distance_from_now() -> None:
    assert abs(inputs.moment("5m") - datetime.now(UTC) - timedelta(minutes=5)) < timedelta(seconds=5)
    assert inputs.moment("2h", ago=True) < datetime.now(UTC)
    assert inputs.moment("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["99999999d", "9999999999h"])
def test_a_time_that_no_calendar_has_is_a_mistake_on_the_command_line(text: str) -> None:
    for ago in (True, False):
        with pytest.raises(typer.BadParameter, match=r"too far|neither"):
            inputs.moment(text, ago=ago)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_input_files_are_read_as_windows_writes_them(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "in.json").write_bytes('{"a": "grün"}\r\n'.encode(encoding))
    (tmp_path / "a.pem").write_bytes("----\r\n".encode(encoding))
    assert inputs.build(str(tmp_path / "in.json"), [f"pem=@{tmp_path / 'a.pem'}"]) == {"a": "grün", "pem": "----\r\n"}


@pytest.mark.parametrize(
    "words", [["submit", "works", "a=\udcff"], ["get", "\udcff"], ["--url", "\udcff", "list"], ["submit", "--", "\udcff"]]
)
def test_a_word_that_is_no_text_is_refused_in_a_sentence(api: ScriptedApi, words: list[str]) -> None:
    refused = bridge(*words)
    assert (refused.exit_code, api.seen) == (Exit.USAGE, [])
    assert "is not text in UTF-8" in " ".join(refused.output.split())
