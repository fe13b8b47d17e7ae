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


def test_a_replay_says_first_which_subscriptions_it_reaches(api: ScriptedApi) -> None:
    api.letters = letters("d1", reaches=["orders/worker", "orders/audit"])
    assert "The copy reaches orders/worker, orders/audit." in bridge("deadletters", "replay", "d1").stderr


def test_what_the_broker_did_not_give_is_named(api: ScriptedApi) -> None:
    api.body_for_all = (
        200,
        "application/json",
        '{"items": [], "missing": [{"detail": "It is away.", "entity": "jobs"}, {"detail": "Gone."}]}',
    )
    said = bridge("deadletters", "list").stderr
    assert "The dead letters of jobs are missing here: It is away." in said
    assert "The dead letters of the broker are missing here: Gone." in said


def test_a_list_says_that_there_are_more(api: ScriptedApi) -> None:
    api.letters = letters("d3", "d2", "d1")
    result = bridge("deadletters", "list", "--limit", "2")
    assert ("There are more" in result.stderr, "d1" in result.stdout) == (True, False)


def test_a_choice_goes_to_the_bridge(api: ScriptedApi) -> None:
    bridge("deadletters", "list", "--entity", "orders/worker", "--text", "a b", "--before", "2026-01-01T00:00:00Z")
    assert "entity=orders%2Fworker&text=a%20b&before=2026-01-01T00%3A00%3A00%2B00%3A00" in api.last[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["d1", "--all"], "not both"),
        ([], "name one dead letter, or say --all"),
        (["d1", "--entity", "jobs"], "go with --all"),
        (["--all", "--rate", "fast"], "'fast' is not a rate"),
    ],
)
def test_a_discard_that_cannot_be_meant_is_a_usage_error(api: ScriptedApi, words: list[str], says: str) -> None:
    result = bridge("deadletters", "discard", *words)
    assert (result.exit_code, says in " ".join(result.stderr.split()), api.seen) == (Exit.USAGE, True, [])
