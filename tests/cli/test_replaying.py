"""Many dead letters replayed one after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.cli import replaying
from bridge.cli.exits import Exit
from tests.cli.commands import bridge, letters
from tests.scripted_api import ScriptedApi, problem


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
    assert err.splitlines() == [
        "100 are to be replayed:",
        "  100 Malformed of automation-requests/bridge",
        "Stopped between two dead letters. To go on: bridge deadletters replay --all --reason Malformed --rate 20/s",
    ]


def test_what_goes_on_with_what_was_replayed_does_not_take_it_twice() -> None:
    start = datetime(2026, 1, 2, tzinfo=UTC)
    said = replaying.Choice(automation="a b", limit=9, again=True).command(start, left=4)
    assert said == "bridge deadletters replay --all --again --automation 'a b' --rate 50/s --limit 4 --before 2026-01-02T00:00:00+00:00"


def test_a_dry_run_counts_and_replays_nothing(api: ScriptedApi) -> None:
    api.letters = letters("d2", reaches=["orders/worker"]) | letters("d1", reason="GaveUp")
    result = bridge("deadletters", "replay", "--all", "--dry-run")
    assert (result.exit_code, result.stdout, replays(api)) == (Exit.OK, "", [])
    for said in ("2 are to be replayed:", "1 Malformed of automation-requests/bridge", "1 GaveUp of", "Their copies reach orders/worker."):
        assert said in result.stderr


def test_those_of_a_sub_queue_are_taken_from_its_head(api: ScriptedApi) -> None:
    api.letters = letters("d2", "d1") | letters("jobs@1", "jobs@2", entity="jobs")
    bridge("deadletters", "replay", "--all")
    assert [path.split("/")[3] for path in replays(api)] == ["d1", "d2", "jobs@1", "jobs@2"]


def test_many_are_edited_the_same_way(api: ScriptedApi) -> None:
    api.letters = letters("d1", event={"id": "e", "data": {"region": "east"}})
    assert bridge("deadletters", "replay", "--all", "--set", "/data/region=west").exit_code == Exit.OK
    assert json.loads(api.last[3]) == {"id": "e", "data": {"region": "west"}}


def test_what_cannot_be_edited_has_failed_and_the_rest_goes_on(api: ScriptedApi) -> None:
    api.letters = letters("d2", event="text") | letters("d1")
    result = bridge("deadletters", "replay", "--all", "--remove", "/none")
    assert result.stdout.splitlines()[0] == "replayed 1, skipped 0, failed 1"


def test_nothing_is_discarded_that_nobody_agreed_to(api: ScriptedApi) -> None:
    api.letters = letters("d2", "d1")
    result = bridge("deadletters", "discard", "--all")
    assert (result.exit_code, "2 would be discarded for good; say --yes" in " ".join(result.stderr.split())) == (Exit.USAGE, True)
    assert not [method for method, *_ in api.seen if method == "DELETE"]


def test_all_are_discarded_oldest_first_what_came_back_too(api: ScriptedApi) -> None:
    api.letters = letters("d2", replayOf="d1") | letters("d1")
    result = bridge("deadletters", "discard", "--all", "--yes", "--rate", "1000/s")
    assert (result.exit_code, result.stdout) == (Exit.OK, "discarded 2, skipped 0, failed 0\n")
    assert [path for method, path, *_ in api.seen if method == "DELETE"] == ["/v1/deadletters/d1", "/v1/deadletters/d2"]
