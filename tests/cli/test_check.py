"""`bridge check` between files, and against a bridge that says little of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from tests.cli.commands import bridge
from tests.rollout.kit import TOPIC, automation, policies
from tests.scripted_api import ScriptedApi, run

CLOSED = {"type": "object", "additionalProperties": False, "properties": {"days": {"type": "integer"}}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *documents: dict[str, Any]) -> None:
    Path(name).write_text(yaml.dump_all(documents, sort_keys=False))


def check(*words: str) -> Result:
    return bridge("check", *words, env={"COLUMNS": "200"})


def test_nothing_breaks_where_more_is_taken() -> None:
    write("old.yaml", automation(input=CLOSED))
    write("new.yaml", automation(input={**CLOSED, "properties": {"days": {"type": "number"}}}), automation("two"))
    result = check("--from", "old.yaml", "--catalogue", "new.yaml")
    assert result.exit_code == 0, result.output
    assert 'note input-widened: one: input.properties.days.type: is "number"; it was "integer"; taken from now on: 0.5' in result.output
    assert "note automation-added: two" in result.output


def test_what_breaks_is_told_with_its_line_whom_it_affects_and_what_to_do() -> None:
    write("old.yaml", automation(input=CLOSED))
    write("new.yaml", automation(input={**CLOSED, "required": ["days"]}, deadline="1m"))
    result = check("--from", "old.yaml", "--catalogue", "new.yaml")
    assert result.exit_code == 1
    lines = Path("new.yaml").read_text().splitlines()
    required, deadline = (next(number for number, line in enumerate(lines, 1) if each in line) for each in ("required:", "deadline:"))
    assert (
        f"new.yaml:{required}: breaks input-narrowed: one: input.required: days is required now; refused from now on: {{}}" in result.output
    )
    assert f"new.yaml:{deadline}: breaks deadline-shorter: one: the deadline is 1m; it was 5m" in result.output
    assert "    affects: callers" in result.output
    assert "    fix:     " in result.output


def test_what_is_gone_is_shown_where_it_stood() -> None:
    write("old.yaml", automation(), automation("gone"))
    write("new.yaml", automation())
    found = json.loads(bridge("--json", "check", "--from", "old.yaml", "--catalogue", "new.yaml").stdout)["changes"]
    assert [(each["kind"], each["file"]) for each in found] == [("automation-removed", "old.yaml")]
    assert found[0]["line"] > 1
    assert set(found[0]) == {"kind", "weight", "subject", "message", "hurts", "mend", "file", "line", "path"}


def test_policies_are_compared_where_both_sides_name_them() -> None:
    write("old.yaml", automation())
    write("new.yaml", automation())
    write("old-rules.yaml", policies("10s"))
    write("new-rules.yaml", policies("4s"))
    words = ("--from", "old.yaml", "--catalogue", "new.yaml", "--resiliency", "new-rules.yaml")
    alone, both = check(*words), check(*words, "--from", "old-rules.yaml")
    assert alone.exit_code == 0
    assert "skipped: the policies" in alone.output
    assert both.exit_code == 1
    line = Path("new-rules.yaml").read_text().splitlines().index("      DefaultAppTimeoutPolicy: 4s") + 1
    assert f"new-rules.yaml:{line}: breaks timeout-shorter: function apps: an attempt has 4s; it had 10s" in both.output


def test_settings_are_compared_where_both_sides_name_them() -> None:
    write("old.yaml", automation())
    write("new.yaml", automation())
    write("before.yaml", {"reply_topics": ["automation-replies", "mine"]})
    write("bridge.yaml", {"log_level": "info", "reply_topics": ["automation-replies"]})
    result = check("--from", "old.yaml", "--from", "before.yaml", "--catalogue", "new.yaml")
    assert result.exit_code == 1
    assert "bridge.yaml:2: breaks reply-topic-removed: reply_topics: mine is no longer a reply topic" in result.output


def test_the_settings_that_the_environment_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    write("old.yaml", automation())
    write("before.yaml", {"retention": "7d"})
    write("other.yaml", {"log_level": "info", "retention": "1d"})
    monkeypatch.setenv("BRIDGE_CONFIG", "other.yaml")
    result = check("--from", "old.yaml", "--from", "before.yaml", "--catalogue", "old.yaml")
    assert result.exit_code == 1
    assert "other.yaml:2: breaks limit-lower: retention: is 1d; it was 7d" in result.output


def test_between_files_settings_of_the_environment_count_for_neither_side(monkeypatch: pytest.MonkeyPatch) -> None:
    write("old.yaml", automation())
    write("bridge.yaml", {"retention": "7d"})
    monkeypatch.setenv("BRIDGE_RETENTION", "1h")
    result = check("--from", "old.yaml", "--from", "bridge.yaml", "--catalogue", "old.yaml")
    assert result.exit_code == 0, result.output
    assert "Nothing changes" in result.output


def test_between_files_the_environment_still_names_files_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    write("old.yaml", automation(), automation("gone"))
    write("new.yaml", automation())
    write("bridge.yaml", {"host": "0.0.0.0"})  # noqa: S104 - settings that need tokens
    monkeypatch.setenv("BRIDGE_CATALOGUE", "new.yaml")
    monkeypatch.setenv("BRIDGE_TOKENS", json.dumps([{"name": "ci", "sha256": "0" * 64}]))
    result = check("--from", "old.yaml", "--from", "bridge.yaml")
    assert result.exit_code == 1
    assert "breaks automation-removed: gone" in result.output


def test_a_change_that_is_wanted_is_accepted_by_its_kind_and_name() -> None:
    write("old.yaml", automation(), automation("two"))
    write("new.yaml", automation(deadline="1m"), automation("two", deadline="1m"))
    words = ("--from", "old.yaml", "--catalogue", "new.yaml")
    assert check(*words, "--accept", "deadline-shorter:one").exit_code == 1
    accepted = check(*words, "--accept", "deadline-shorter")
    assert accepted.exit_code == 0
    assert "accepted: deadline-shorter: one" in accepted.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "absent.yaml"), "absent.yaml: cannot be read"),
        (("--from", "rules.yaml"), "--from names no catalogue"),
        (("--from", "old.yaml", "--from", "old.yaml"), "two files with catalogue"),
        (("--from", "odd.yaml"), "odd.yaml: is neither a catalogue nor policies nor settings"),
        (("--from", "old.yaml", "--catalogue", "odd.yaml"), "odd.yaml, document 1"),
        (("--from", "old.yaml", "--catalogue", "old.yaml", "--accept", "everything"), "there is no such kind of change"),
        (("--from", "old.yaml"), "name it with --catalogue"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_files_that_cannot_be_used_are_named(words: tuple[str, ...], told: str) -> None:
    write("old.yaml", automation())
    write("rules.yaml", policies())
    write("odd.yaml", {"kind": "Other"})
    result = check(*words)
    assert result.exit_code == 2
    assert told in result.output


def test_an_older_bridge_is_compared_as_far_as_it_tells(api: ScriptedApi) -> None:
    """It has no /v1/configuration, but automations."""
    write("new.yaml", automation("works", targets=[TOPIC]))
    result = check("--catalogue", "new.yaml")
    assert result.exit_code == 1
    assert "breaks target-removed: works" in result.output
    assert "skipped: policies and settings that run are not compared: this bridge is older" in result.output


def test_a_count_that_ends_early_says_at_least(api: ScriptedApi) -> None:
    """Who may not ask for the configuration reads some of the runs only."""
    write("new.yaml", automation("works", targets=[TOPIC]))
    api.runs = {f"r{number}": run(f"r{number}", "works", "Running") for number in range(101)}
    result = check("--catalogue", "new.yaml")
    assert "works has at least 100 runs in hand now, of those that you may read." in result.output
    found = json.loads(bridge("--json", "check", "--catalogue", "new.yaml").stdout)
    assert (found["inHand"], found["inHandAtLeast"]) == ({"works": 100}, ["works"])


def test_no_run_that_can_be_read_is_not_said_to_be_none_at_all(api: ScriptedApi) -> None:
    write("new.yaml", automation("works", targets=[TOPIC]))
    assert "works has no runs in hand now, of those that you may read." in check("--catalogue", "new.yaml").output
    assert api.runs == {}


def test_without_a_bridge_the_exit_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_URL", "http://127.0.0.1:9")
    write("new.yaml", automation())
    assert check("--catalogue", "new.yaml").exit_code == 5
