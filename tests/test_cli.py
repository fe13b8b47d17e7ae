from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from bridge import cli, settings
from bridge.cli import inputs, replaying, up
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from tests.scripted_api import LETTER, ScriptedApi, problem, run, serving


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    with serving() as scripted:
        monkeypatch.setenv("BRIDGE_URL", scripted.url)
        yield scripted


def bridge(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(cli.app, list(words), **options)


def sent(api: ScriptedApi) -> Any:
    return json.loads(next(body for method, _, _, body in api.seen if method == "POST"))


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


@pytest.mark.parametrize("text", ["[1]", "not json"])
def test_words_need_an_input_that_is_an_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(typer.BadParameter):
        inputs.build(str(tmp_path / "in.json"), ["a=1"])


def test_a_time_may_be_a_distance_from_now() -> None:
    assert abs(inputs.moment("5m") - datetime.now(UTC) - timedelta(minutes=5)) < timedelta(seconds=5)
    assert inputs.moment("2h", ago=True) < datetime.now(UTC)
    assert inputs.moment("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("automation", "code", "says"),
    [
        ("works", Exit.OK, "1152921504606846976"),
        ("fails", Exit.FAILED, "error: Told: It was told to end Failed."),
        ("late", Exit.TIMED_OUT, "status: TimedOut"),
        ("stops", Exit.CANCELED, "status: Canceled"),
        ("endless", Exit.TIMED_OUT, "status: Running"),
    ],
)
def test_a_run_that_was_waited_for_decides_the_exit_code(api: ScriptedApi, automation: str, code: Exit, says: str) -> None:
    wait = "0.2" if automation == "endless" else "5"
    result = bridge("submit", automation, "--correlation-id", "a", "--wait", wait)
    assert (result.exit_code, says in result.stdout) == (code, True), result.output


def test_a_run_that_was_not_waited_for_is_no_failure(api: ScriptedApi) -> None:
    result = bridge("submit", "works", "--correlation-id", "a")
    assert result.exit_code == Exit.OK
    assert "`bridge get a --wait 60` waits for it" in result.stderr


def test_a_deadline_travels_with_the_request(api: ScriptedApi) -> None:
    bridge("submit", "works", "--deadline", "2026-01-31T12:00:00Z")
    assert api.last[2]["x-deadline"] == "2026-01-31T12:00:00+00:00"


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


def test_the_raw_output_is_all_that_is_printed(api: ScriptedApi) -> None:
    bridge("submit", "works", "--correlation-id", "a", "--wait", "5")
    result = bridge("get", "a", "--output")
    assert (result.stdout, result.stderr) == ('{"answer":1152921504606846976}', "")


@pytest.mark.parametrize(("automation", "code"), [("fails", Exit.FAILED), ("endless", Exit.TIMED_OUT)])
def test_without_output_the_reason_is_told_beside(api: ScriptedApi, automation: str, code: Exit) -> None:
    bridge("submit", automation, "--correlation-id", "a", "--wait", "0.2")
    result = bridge("get", "a", "--output")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "so there is no output" in result.stderr


def test_a_list_without_a_terminal_is_plain_columns(api: ScriptedApi) -> None:
    api.runs = {str(number): run(str(number), "works", "Succeeded") for number in range(3)}
    result = bridge("list", "--status", "Succeeded", env={"COLUMNS": "40", "FORCE_COLOR": ""})
    header, first, *_ = result.stdout.splitlines()
    assert header.split() == ["ID", "AUTOMATION", "STATUS", "CREATED", "TOOK", "ERROR"]
    assert first.split() == ["0", "works", "Succeeded", "2026-01-01", "10:00:00", "1.5", "s"]
    assert len(result.stdout.splitlines()) == 4


def test_a_list_can_be_json(api: ScriptedApi) -> None:
    api.runs = {"a": run("a", "works", "Succeeded")}
    assert json.loads(bridge("list", "--json").stdout)[0]["output"] == {"answer": 2**60}


def test_text_from_elsewhere_cannot_steer_the_terminal(api: ScriptedApi) -> None:
    api.runs = {"a": run("a", "fails", "Failed") | {"error": {"code": "E", "message": "\x1b[2J[red]gone\x9b1m"}}}
    result = bridge("get", "a")
    assert "\x1b" not in result.stdout
    assert "\x9b" not in result.stdout
    assert "[red]gone" in result.stdout


def test_canceling_shows_the_run(api: ScriptedApi) -> None:
    bridge("submit", "works", "--correlation-id", "a")
    result = bridge("cancel", "a")
    assert (result.exit_code, "status: Canceling" in result.stdout) == (Exit.OK, True)


def test_canceling_what_has_ended_is_refused(api: ScriptedApi) -> None:
    bridge("submit", "works", "--correlation-id", "a", "--wait", "5")
    assert bridge("cancel", "a").exit_code == Exit.REFUSED


def test_a_rerun_may_change_the_input(api: ScriptedApi) -> None:
    api.runs = {"a": run("a", "works", "Failed", {"n": 1})}
    result = bridge("rerun", "a", "n=2", "--json")
    assert (json.loads(result.stdout)["rerunOf"], sent(api)) == ("a", {"n": 2})


def test_one_automation_is_shown_with_its_schema_and_how_to_ask(api: ScriptedApi) -> None:
    shown = bridge("automations", "works").stdout
    assert "ask: bridge submit works host=…" in shown
    assert '"required"' in shown


def test_automations_are_listed_with_where_they_run(api: ScriptedApi) -> None:
    assert "here (python-functions)" in bridge("automations").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list"], "automation-requests/bridge"),
        (["show", "d1"], "reason: Malformed"),
        (["replay", "d1"], "published again as message d1/1"),
        (["discard", "d1"], "discarded"),
    ],
)
def test_dead_letters_can_be_handled(api: ScriptedApi, words: list[str], says: str) -> None:
    result = bridge("deadletters", *words)
    assert (result.exit_code, says in result.stdout) == (Exit.OK, True)


def letters(*ids: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Dead letters, newest first."""
    return {each: {**LETTER, "id": each, **more} for each in ids}


def test_a_letter_is_shown_with_where_it_came_from_and_what_came_of_it(api: ScriptedApi) -> None:
    api.letters = letters("child", replayOf="d1") | letters("d1", replayOf="gone", correlationId="order-1")
    bridge("deadletters", "replay", "d1")
    said = bridge("deadletters", "show", "d1").stdout
    assert (
        "came back from: gone (gone)\nreplay 1: 2026-01-02 10:00:00 by local\ncame back as: child (Malformed, 2026-01-01 10:00:00)" in said
    )
    assert "run: bridge get order-1" in said


def test_the_event_of_a_letter_can_be_edited_and_replayed(api: ScriptedApi, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text(bridge("deadletters", "show", "d1", "--event").stdout.replace("5", str(2**60 + 1)))
    result = bridge("deadletters", "replay", "d1", "--event", str(tmp_path / "event.json"))
    assert "the edited event was published again" in result.stdout
    assert (sent(api), api.last[2]["content-type"]) == ({"id": 2**60 + 1}, "application/cloudevents+json")


def test_an_edited_event_may_come_from_standard_input(api: ScriptedApi) -> None:
    bridge("deadletters", "replay", "d1", "--event", "-", input='{"id": "x"}')
    assert sent(api) == {"id": "x"}


def replays(api: ScriptedApi) -> list[str]:
    return [path for method, path, _, _ in api.seen if method == "POST"]


def test_all_that_were_never_replayed_are_replayed_oldest_first(api: ScriptedApi) -> None:
    api.letters = letters("d5", replayOf="d4") | letters("d4", replays=[{"at": "2026-01-01T11:00:00Z"}]) | letters("d3", "d2", "d1")
    result = bridge("deadletters", "replay", "--all", "--rate", "1000/s")
    assert (result.exit_code, result.stdout) == (Exit.OK, "replayed 3, skipped 0, failed 0\n")
    assert replays(api) == [f"/v1/deadletters/d{number}/replay?number=1" for number in (1, 2, 3)]


def test_a_bar_shows_on_a_terminal_how_far_it_is(api: ScriptedApi) -> None:
    api.letters = letters("d2", "d1")
    result = bridge("deadletters", "replay", "--all", env={"FORCE_COLOR": "1", "TERM": "xterm"})
    assert "2/2" in result.stderr
    assert "replayed 2" in result.stdout


def test_a_limit_takes_the_oldest(api: ScriptedApi) -> None:
    api.letters = letters("d3", "d2", "d1")
    assert json.loads(bridge("deadletters", "replay", "--all", "--limit", "1", "--json").stdout)["replayed"] == 1
    assert "replays" in api.letters["d1"]


def test_only_the_chosen_ones_are_replayed(api: ScriptedApi) -> None:
    api.letters = letters("d2", reason="GaveUp", automation="report") | letters("d1")
    bridge("deadletters", "replay", "--all", "--reason", "GaveUp", "--automation", "report")
    assert replays(api) == ["/v1/deadletters/d2/replay?number=1"]


def test_again_takes_what_was_replayed_but_of_one_lineage_only_the_newest(api: ScriptedApi) -> None:
    made = [{"at": "2026-01-01T11:00:00Z"}]
    api.letters = letters("child", replayOf="parent") | letters("parent", replays=made) | letters("other", replays=made)
    bridge("deadletters", "replay", "--all", "--again")
    assert replays(api) == ["/v1/deadletters/other/replay?number=2", "/v1/deadletters/child/replay?number=1"]


def test_before_leaves_out_what_was_kept_or_replayed_since(api: ScriptedApi) -> None:
    api.letters = (
        letters("new", keptAt="2026-01-03T10:00:00Z") | letters("redone", replays=[{"at": "2026-01-03T10:00:00Z"}]) | letters("old")
    )
    bridge("deadletters", "replay", "--all", "--again", "--before", "2026-01-02T00:00:00Z")
    assert replays(api) == ["/v1/deadletters/old/replay?number=1"]


def test_what_somebody_else_replays_is_skipped_and_what_is_refused_has_failed(api: ScriptedApi) -> None:
    refusals = {"d3": ("BeingReplayed", "local replays it."), "d2": ("NotReplayable", "The deadline has passed.")}

    async def replaying(letter: str) -> Any:
        return problem(409, *refusals[letter]) if letter in refusals else None

    api.letters, api.replaying = letters("d3", "d2", "d1"), replaying
    result = bridge("deadletters", "replay", "--all")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (Exit.REFUSED, "replayed 1, skipped 1, failed 1")
    assert "failed 1 NotReplayable, such as d2: The deadline has passed. Do something else." in result.stdout


def test_a_letter_that_another_has_replayed_meanwhile_is_skipped(api: ScriptedApi) -> None:
    async def first(letter: str) -> Any:
        api.letters[letter].setdefault("replays", []).append({"at": "2026-01-01T11:00:00Z"})

    api.replaying = first
    assert "skipped 1 AlreadyReplayed" in bridge("deadletters", "replay", "--all").stdout


def test_a_replay_without_an_answer_is_asked_for_again_and_made_once(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PAUSES", (0, 0))
    answers = iter([problem(503, "Full", "There is no room."), problem(503, "Unavailable", "Bus or store cannot be reached.")])

    async def at_first(_letter: str) -> Any:
        return next(answers, None)

    api.replaying = at_first
    assert bridge("deadletters", "replay", "--all").stdout == "replayed 1, skipped 0, failed 0\n"
    assert len(replays(api)) == 3


def test_who_may_not_replay_is_told_once(api: ScriptedApi) -> None:
    async def refuse(_letter: str) -> Any:
        return problem(403, "Forbidden", "bob is not admin.")

    api.letters, api.replaying = letters("d2", "d1"), refuse
    result = bridge("deadletters", "replay", "--all", "--rate", "1/s")
    assert (result.exit_code, len(replays(api)), result.stderr.count("Forbidden")) == (Exit.REFUSED, 1, 1)


def test_ctrl_c_ends_many_replays_between_two_letters_and_says_how_to_go_on(api: ScriptedApi) -> None:
    api.letters = letters(*(f"d{number}" for number in range(100)))
    command = [
        sys.executable,
        "-m",
        "bridge",
        "deadletters",
        "replay",
        "--all",
        "--reason",
        "Malformed",
        "--rate",
        "20/s",
        "--token",
        "s3cret",
    ]
    environment = {**os.environ, "BRIDGE_URL": api.url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(replays(api)) < 3:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    made = sum("replays" in letter for letter in api.letters.values())
    assert (process.returncode, made == len(replays(api))) == (Exit.INTERRUPTED, True)
    assert out == f"replayed {made}, skipped 0, failed 0, left {100 - made}\n"
    assert err.strip() == "Stopped between two letters. To go on: bridge deadletters replay --all --reason Malformed --rate 20/s"


def test_what_goes_on_with_what_was_replayed_does_not_take_it_twice() -> None:
    start = datetime(2026, 1, 2, tzinfo=UTC)
    said = replaying.Choice(automation="a b", limit=9, again=True).command(start, left=4)
    assert said == "bridge deadletters replay --all --again --automation 'a b' --rate 50/s --limit 4 --before 2026-01-02T00:00:00+00:00"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name one dead letter, or say --all"),
        (["d1", "--all"], "not both"),
        (["d1", "--again"], "choose among --all"),
        (["--all", "--event", "-"], "--event is for one dead letter"),
        (["--all", "--rate", "fast"], "'fast' is not a rate; write it like"),
        (["--all", "--before", "yesterday"], "neither a time"),
        (["d1", "--event", "/nowhere"], "cannot be read"),
    ],
)
def test_a_replay_that_cannot_be_meant_is_a_usage_error(api: ScriptedApi, words: list[str], says: str) -> None:
    result = bridge("deadletters", "replay", *words)
    assert (result.exit_code, says in " ".join(result.stderr.split()), api.seen) == (Exit.USAGE, True, [])


def test_every_exit_code_stands_in_the_help() -> None:
    said = bridge("--help").stdout
    assert all(f"\n    {code.value:<5}" in said for code in Exit)


def test_settings_that_cannot_be_used_are_named_one_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = bridge("up", "--port", "eighty", env={"BRIDGE_RUNTIME": "cloud"})
    assert result.exit_code == Exit.USAGE
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["BRIDGE_RUNTIME", "--port"]


def test_the_banner_says_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = settings.Settings(data_dir=tmp_path, functions=Path("functions"))
    up.banner(Screen(), found, "http://127.0.0.1:9999")
    said = capsys.readouterr().out
    assert "listens on http://127.0.0.1:9999" in said
    assert "BRIDGE_URL=http://127.0.0.1:9999 bridge automations" in said
    assert str(tmp_path / "functions.log") in said


def test_ctrl_c_leaves_the_run_going_and_says_how_to_find_it(api: ScriptedApi) -> None:
    command = [sys.executable, "-m", "bridge", "submit", "endless", "--correlation-id", "a", "--wait", "60"]
    with subprocess.Popen(command, env={**os.environ, "BRIDGE_URL": api.url}, stderr=subprocess.PIPE, text=True) as process:
        while not any(path.endswith("/events") for _, path, _, _ in api.seen):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=10)[1]
    assert process.returncode == Exit.INTERRUPTED
    assert said.strip() == "The run goes on; `bridge get a` shows it, `bridge cancel a` stops it."
