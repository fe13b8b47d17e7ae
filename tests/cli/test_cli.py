"""What every command has in common: options, refusals, exit codes, safe text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli.exits import Exit
from tests.cli.commands import bridge
from tests.scripted_api import ScriptedApi, run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["submit", "works", "novalue"], "'novalue' is not key=value"),
        (["submit", "works", "a=@/nowhere/at/all"], "'/nowhere/at/all' cannot be read: No such file"),
        (["submit", "works", "a=@/"], "'/' cannot be read: Is a directory"),
        (["submit", "works", "--input", "/nowhere"], "'/nowhere' cannot be read"),
        (["submit", "works", "--deadline", "soon"], "'soon' is neither a time such as"),
        (["list", "--since", "yesterday"], "'yesterday' is neither a time"),
        (["get"], "Missing argument"),
        (["sumbit", "works"], "Did you mean 'submit'"),
        (["get", "a", "--token-file", "/nowhere"], "'/nowhere' cannot be read"),
    ],
)
def test_a_usage_error_says_what_is_wrong_and_asks_nothing(api: ScriptedApi, words: list[str], says: str) -> None:
    result = bridge(*words)
    assert result.exit_code == Exit.USAGE
    assert says in " ".join(result.stderr.split())
    assert api.seen == []


def test_a_refusal_is_shown_with_its_violations_and_hint(api: ScriptedApi) -> None:
    result = bridge("submit", "works", "bad=1")
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.splitlines() == ["InvalidInput: The input does not fit.", "  /bad: bad is not allowed", "Do something else."]
    assert result.stdout == ""


def test_a_refusal_can_be_json(api: ScriptedApi) -> None:
    assert json.loads(bridge("submit", "works", "bad=1", "--json").stderr)["errors"][0]["pointer"] == "/bad"


def test_a_bridge_that_is_not_there_has_its_own_exit_code() -> None:
    result = bridge("--url", "http://127.0.0.1:9", "get", "a")
    assert result.exit_code == Exit.UNREACHABLE
    assert "No bridge answers at http://127.0.0.1:9 (connection refused). Start one with `bridge up`" in result.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_options_of_bridge_may_stand_anywhere(api: ScriptedApi, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRIDGE_URL")
    options = ["--url", api.url, "--token=t0ken", "--json"]
    result = bridge(*options, "automations") if place == "before" else bridge("automations", *options)
    assert json.loads(result.stdout)[0]["name"] == "works"
    assert api.last[2]["authorization"] == "Bearer t0ken"


def test_the_token_may_come_from_a_file_or_the_environment(api: ScriptedApi, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    bridge("automations", "--token-file", str(tmp_path / "token"))
    bridge("automations", env={"BRIDGE_TOKEN": "from-env"})
    assert [each[2]["authorization"] for each in api.seen] == ["Bearer from-file", "Bearer from-env"]


def test_the_help_never_shows_a_token() -> None:
    assert "s3cret" not in bridge("--help", env={"BRIDGE_TOKEN": "s3cret"}).output


def test_text_from_elsewhere_cannot_steer_the_terminal(api: ScriptedApi) -> None:
    api.runs = {"a": run("a", "fails", "Failed") | {"error": {"code": "E", "message": "\x1b[2J[red]gone\x9b1m"}}}
    result = bridge("get", "a")
    assert "\x1b" not in result.stdout
    assert "\x9b" not in result.stdout
    assert "[red]gone" in result.stdout


def test_every_exit_code_stands_in_the_help() -> None:
    said = bridge("--help").stdout
    assert all(f"\n    {code.value:<5}" in said for code in Exit)
