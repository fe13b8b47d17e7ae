from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli.exits import Exit
from tests.cli.commands import bridge, letters, sent
from tests.scripted_api import ScriptedApi


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
