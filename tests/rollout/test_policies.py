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
]


@pytest.mark.parametrize(("before", "after", "kind"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_change_is_of_its_kind_and_told_once_for_all_apps(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    assert list(between(side(rules=policies(**before)), side(rules=policies(**after)))) == [kind]


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
    assert found["deadline-exceeded"].kind.hurts == "callers and runs in hand"


def test_one_that_never_fitted_is_not_told() -> None:
    found = between(side(automation(deadline="20s")), side(automation(deadline="19s")))
    assert list(found) == ["deadline-shorter"]


def test_repeats_without_end_fit_no_deadline() -> None:
    found = between(side(), side(rules=policies(maxRetries=-1)))
    assert set(found) == {"retries-more", "deadline-exceeded"}
    assert "until the deadline" in found["retries-more"].message
