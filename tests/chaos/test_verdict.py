"""The judge notices each kind of broken promise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.verdict import SETTLED, judge


def run(status: str = "Succeeded", *outcomes: str) -> dict[str, Any]:
    attempts = [{"outcome": outcome} for outcome in outcomes or ("Succeeded",)]
    return {"correlationId": "r-1", "status": status, "createdAt": "noon", "invocations": [{"target": "t", "attempts": attempts}]}


def reply(status: str = "Succeeded", created: str = "noon") -> dict[str, Any]:
    return {"correlationid": "r-1", "id": f"r-1/{created}", "data": {"status": status, "createdAt": created}}


@pytest.fixture
def ledger() -> Ledger:
    """A run that was accepted, ended and replied to, with one effect."""
    ledger = Ledger(accepted={"r-1": "http"})
    ledger.saw(run())
    ledger.replied(reply())
    ledger.effects["r-1/t"] += 1
    return ledger


def test_a_run_with_one_ending_one_reply_and_one_effect_is_well(ledger: Ledger) -> None:
    assert judge(ledger).wrong == ()


def test_a_reply_that_comes_twice_is_well(ledger: Ledger) -> None:
    ledger.replied(reply())
    assert judge(ledger).wrong == ()


def test_an_accepted_run_that_nobody_knows(ledger: Ledger) -> None:
    ledger.accepted["lost"] = "topic"
    assert judge(ledger).wrong == ("lost: accepted over topic, and it has not ended or nobody knows it",)


def test_an_accepted_run_that_goes_on_and_on(ledger: Ledger) -> None:
    ledger.accepted["r-2"] = "http"
    ledger.saw({**run("Running"), "correlationId": "r-2"})
    assert len(judge(ledger).wrong) == 1


def test_a_run_without_a_reply(ledger: Ledger) -> None:
    ledger.replies.clear()
    assert judge(ledger).wrong == ("r-1: ended without a reply",)


@pytest.mark.parametrize("other", [reply("TimedOut"), reply(created="later")])
def test_a_run_that_ends_in_two_ways(ledger: Ledger, other: dict[str, Any]) -> None:
    ledger.replied(other)
    assert [line.partition(":")[0] for line in judge(ledger).wrong] == ["r-1"]


@pytest.mark.parametrize(
    ("outcomes", "count", "well"),
    [
        (("Succeeded",), 2, False),
        (("Unknown", "Succeeded"), 2, True),
        (("Failed", "Succeeded"), 2, True),
        (("Succeeded", "Unknown"), 2, True),
        (("Accepted", "Succeeded"), 2, False),
        (("Unknown", "Succeeded"), 3, False),
        (("Unknown", "Unknown", "Succeeded"), 1, True),
    ],
)
def test_effects_are_held_against_attempts(ledger: Ledger, outcomes: tuple[str, ...], count: int, well: bool) -> None:
    ledger.saw(run("Succeeded", *outcomes))
    ledger.effects["r-1/t"] = count
    assert (judge(ledger).wrong == ()) is well


def test_an_effect_of_a_run_that_nobody_knows(ledger: Ledger) -> None:
    ledger.effects["r-2/t"] = 1
    assert judge(ledger).wrong == ("r-2/t: run 1 times with the attempts []",)


@pytest.mark.parametrize(("reason", "well"), [("Malformed", True), ("CrashedProcess", True), ("GaveUp", False)])
def test_an_event_that_leads_nowhere_has_its_dead_letter(ledger: Ledger, reason: str, well: bool) -> None:
    ledger.marks["bad-1-1"] = "Malformed"
    ledger.kept({"reason": reason, "body": '{"id": "bad-1-1"'})
    assert (judge(ledger).wrong == ()) is well


@pytest.mark.parametrize(("outcome", "sent", "well"), [("Succeeded", 0, False), ("Succeeded", 1, True), ("Failed", 0, True)])
def test_a_message_is_settled_only_once_what_its_function_sends_is_there(ledger: Ledger, outcome: str, sent: int, well: bool) -> None:
    attempts = [{"outcome": outcome}]
    ledger.saw({**run(outcome), "correlationId": "r-2", "invocations": [{"target": SETTLED, "attempts": attempts}]})
    ledger.effects[f"r-2/{SETTLED}"] = sent
    assert (judge(ledger).wrong == ()) is well


def test_an_answer_that_nobody_should_get(ledger: Ledger) -> None:
    ledger.surprises.append("r-1: 500")
    assert judge(ledger).wrong == ("r-1: 500",)
