from __future__ import annotations

from typing import Any

import pytest

from tests.rollout.kit import automation, between, policies, side

CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"timeout": "5s"}, "timeout-shorter"),
    ({}, {"timeout": "11s"}, "timeout-longer"),
    ({}, {"maxRetries": 1}, "retries-fewer"),
    ({}, {"maxRetries": 4}, "retries-more"),
    ({"matching": {"httpStatusCodes": "500-599"}}, {"matching": {"httpStatusCodes": "500,503"}}, "retries-fewer"),
    ({}, {"breaker": {"trip": "consecutiveFailures > 9"}}, "policy-changed"),
    ({"breaker": {}}, {"breaker": {"timeout": "5s"}}, "policy-changed"),
    ({"breaker": {}}, {"breaker": {"maxRequests": 5}}, "policy-changed"),
    ({"breaker": {}}, {"breaker": {"interval": "10s"}}, "policy-changed"),
    ({}, {"duration": "60s"}, "policy-changed"),
    ({"maxRetries": -1}, {"maxRetries": -1, "duration": "60s"}, "policy-changed"),
]


@pytest.mark.parametrize(("before", "after", "kind"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_change_is_of_its_kind_and_told_once_for_all_apps(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    assert list(between(side(rules=policies(**before)), side(rules=policies(**after)))) == [kind]


def test_the_pauses_are_told_as_they_are_and_as_they_were() -> None:
    found = between(side(), side(rules=policies(duration="20s")))["policy-changed"]
    assert found.message == "the pauses between attempts are 20s; they were 1s"
    assert not found.breaks


def test_pauses_that_grow_are_told_with_their_limit() -> None:
    before, after = policies(), policies()
    for each, limit in ((before, "20s"), (after, "60s")):
        each["spec"]["policies"]["retries"] = {"DefaultAppRetryPolicy": {"policy": "exponential", "maxRetries": 30, "maxInterval": limit}}
    found = between(side(automation(deadline="1h"), rules=before), side(automation(deadline="1h"), rules=after))
    message = found["policy-changed"].message
    assert message == "the pauses between attempts are 500ms, growing to at most 1m; they were 500ms, growing to at most 20s"


def test_pauses_that_are_never_made_are_no_change() -> None:
    assert between(side(rules=policies(maxRetries=0)), side(rules=policies(maxRetries=0, duration="60s"))) == {}


def test_an_older_bridge_that_tells_no_pauses_shows_them_by_the_worst_time() -> None:
    older = side()
    del older["otherPolicy"]["pauses"]
    for each in older["policies"].values():
        del each["pauses"]
    assert between(older, side()) == {}
    assert "take 1m40s at worst; it was 43s" in between(older, side(rules=policies(duration="20s")))["policy-changed"].message


def test_the_policy_of_one_app_is_told_for_this_app() -> None:
    own = policies()
    own["spec"]["policies"]["timeouts"]["short"] = "2s"
    own["spec"]["targets"] = {"apps": {"shop": {"timeout": "short", "retry": "DefaultAppRetryPolicy"}}}
    found = between(side(), side(rules=own))["timeout-shorter"]
    assert found.subject == "shop"
    assert found.message == "an attempt has 2s; it had 10s"


@pytest.mark.parametrize(
    ("deadline", "timeout"), [("40s", "10s"), ("5m", "80s")], ids=["the deadline is shorter", "the attempts are longer"]
)
def test_a_worst_time_that_no_longer_fits_the_deadline_is_told(deadline: str, timeout: str) -> None:
    found = between(side(automation()), side(automation(deadline=deadline), rules=policies(timeout)))
    assert found["deadline-exceeded"].subject == "one"
    assert found["deadline-exceeded"].kind.affects == "callers and runs in hand"


def test_one_that_never_fitted_is_not_told() -> None:
    found = between(side(automation(deadline="20s")), side(automation(deadline="19s")))
    assert list(found) == ["deadline-shorter"]


def test_repeats_without_end_fit_no_deadline() -> None:
    found = between(side(), side(rules=policies(maxRetries=-1)))
    assert set(found) == {"retries-more", "deadline-exceeded"}
    assert "until the deadline" in found["retries-more"].message
