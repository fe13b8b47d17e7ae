"""What is said of a policy: attempts and times at the edges, what a caller sees, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from bridge import catalog
from bridge.catalog import Automation
from bridge.entities import UNLIMITED
from bridge.resilience import BreakerRules, Policy, Retry, trip, worst_case
from bridge.resilience.breakerwords import opens_after
from bridge.resilience.explanation import SCENARIOS, DeliveryLimits, Explanation, explain
from bridge.resilience.scenario import MOST_ATTEMPTS, START, answers, hangs, play, result
from bridge.resilience.trip import Counts

SECOND = timedelta(seconds=1)
SHIPPED = Policy(25 * SECOND, Retry("exponential", max_interval=15 * SECOND, max_retries=3), BreakerRules(timeout=30 * SECOND))
CONSTANT = Policy(10 * SECOND, Retry(duration=2 * SECOND, max_retries=2))
LIMITS = DeliveryLimits("automation-invocations/bridge", 60 * SECOND, UNLIMITED, None, 5 * SECOND)
CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: one}
spec: {deadline: DEADLINE, targets: [{name: only, http: {app: app, path: /api/one}}, {name: other, http: {app: other, path: /api/two}}]}
"""


def automation(folder: Path, deadline: str = "1m") -> list[Automation]:
    (folder / "catalogue.yaml").write_text(CATALOGUE.replace("DEADLINE", deadline))
    return list(catalog.load(folder / "catalogue.yaml"))


def explained(folder: Path, policy: Policy, deadline: str = "1m", limits: DeliveryLimits = LIMITS) -> Explanation:
    return explain("app", policy, automation(folder, deadline), limits)


def said(found: Explanation, words: str) -> bool:
    return any(words in each for each in found.remarks)


def test_the_last_attempt_of_the_table_ends_at_the_worst_case(tmp_path: Path) -> None:
    only_429 = Policy(SECOND, Retry(duration=SECOND, max_retries=4, statuses=frozenset({429})))
    for policy in (SHIPPED, CONSTANT, Policy(SECOND), Policy(SECOND, Retry("exponential", max_retries=5)), only_429):
        last = explained(tmp_path, policy).attempts[-1]
        assert last.latest is not None
        assert (last.number, last.latest + policy.timeout) == worst_case(policy)


def test_pauses_are_given_from_the_shortest_to_the_longest(tmp_path: Path) -> None:
    pauses = [each.pause and tuple(edge.total_seconds() for edge in each.pause) for each in explained(tmp_path, SHIPPED).attempts]
    assert pauses == [None, (0.25, 0.75), (0.375, 1.125), (0.5625, 1.6875)]


@pytest.mark.parametrize(
    ("deadline", "does", "attempts", "ends", "seconds"),
    [
        ("2m", "answers 503", (4, 4), [("Failed", "Http503")], (1.1875, 3.5625)),
        ("2m", "never answers", (4, 4), [("Failed", "Timeout")], (101.1875, 103.5625)),
        ("1m", "never answers", (3, 3), [("TimedOut", "DeadlineExceeded")], (60, 60)),
        ("1m", "answers 404", (1, 1), [("Failed", "Http404")], (0, 0)),
        ("2s", "answers 503", (3, 4), [("Failed", "Http503")], (0.625, 2)),
    ],
)
def test_what_the_caller_sees_under_the_shipped_policy(
    tmp_path: Path, deadline: str, does: str, attempts: tuple[int, int], ends: list[tuple[str, str]], seconds: tuple[float, float]
) -> None:
    seen = explained(tmp_path, SHIPPED, deadline).targets[0].results[does]
    assert (seen.attempts, list(seen.ends)) == (attempts, ends)
    assert (seen.earliest.total_seconds(), seen.latest.total_seconds()) == pytest.approx(seconds)


DRAWN, PLAYED = 60, 60


@pytest.mark.parametrize("does", SCENARIOS)
def test_whatever_pauses_are_drawn_the_course_stays_within_what_is_said(does: str) -> None:
    """Sixty policies and deadlines, each with sixty random courses that the explanation has not played itself."""
    for number in range(DRAWN):
        rng = Random(number)
        retry = Retry("exponential", max_interval=rng.choice([1, 4, 15]) * SECOND, max_retries=rng.choice([1, 3, 6]))
        breaker = rng.choice([None, BreakerRules("consecutiveFailures > 2", rng.choice([1, 5]) * SECOND)])
        policy, deadline = Policy(rng.choice([0.5, 2, 25]) * SECOND, retry, breaker), rng.choice([0.7, 2, 5, 60]) * SECOND
        seen = result(policy, deadline, SCENARIOS[does])
        for seed in range(1000, 1000 + PLAYED):
            played = play(policy, deadline, SCENARIOS[does], Random(seed))
            assert played.end is not None
            after = played.end.at - START
            assert seen.attempts[0] <= len(played.attempts) <= seen.attempts[1], (policy, deadline)
            assert seen.earliest <= after <= seen.latest, (policy, deadline, seen, after)
            assert (played.end.status, played.end.code) in seen.ends, (policy, deadline)


def test_only_targets_of_the_app_are_shown(tmp_path: Path) -> None:
    assert [each.target for each in explained(tmp_path, SHIPPED).targets] == ["only"]


def test_the_time_for_which_a_breaker_is_open_counts_where_one_request_opens_it() -> None:
    policy = replace(CONSTANT, breaker=BreakerRules("consecutiveFailures >= 2", 30 * SECOND))
    seen = result(policy, 120 * SECOND, answers(503))
    assert (seen.attempts, seen.earliest) == ((3, 3), 32 * SECOND)


@pytest.mark.parametrize(
    ("trip", "number"),
    [("consecutiveFailures > 5", 6), ("totalFailures >= 3", 3), ("requests > 9 && totalFailures > 1", 10), ("totalSuccesses > 1", None)],
)
def test_the_failures_that_open_a_breaker_are_counted_by_the_breaker_itself(trip: str, number: int | None) -> None:
    assert opens_after(BreakerRules(trip)) == number


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    one_opens = replace(CONSTANT, breaker=BreakerRules("consecutiveFailures >= 2"))
    short = replace(LIMITS, handler_timeout=10 * SECOND, deliveries=10)
    assert said(explained(tmp_path, one_opens), "opens the breaker for all others")
    assert said(explained(tmp_path, CONSTANT, "15s"), "no room for a second attempt")
    assert said(explained(tmp_path, SHIPPED), "3 attempts begin, not 4")
    assert said(explained(tmp_path, CONSTANT, limits=short), "handlerTimeoutInSec is 10s")
    assert said(explained(tmp_path, CONSTANT, limits=short), "MaxDeliveryCount of automation-invocations/bridge is 10")
    assert said(explained(tmp_path, Policy()), "There are no retries")
    assert said(explained(tmp_path, Policy(retry=Retry())), "maxRetries has no limit")


def test_what_fits_is_not_complained_of(tmp_path: Path) -> None:
    found = explained(tmp_path, CONSTANT, "5m", replace(LIMITS, handler_timeout=300 * SECOND))
    assert [each.split()[0] for each in found.remarks] == ["Retry-After", "one", "A"]


@pytest.mark.parametrize(
    ("rule", "means"),
    [
        ("all", "Succeeded if all of them succeed; TargetsFailed if one does not"),
        ("any", "Succeeded as soon as one of them succeeds"),
        ("quorum:2", "Succeeded as soon as 2 of them have succeeded"),
        ("best-effort", "Succeeded if one of them has succeeded when all have ended"),
    ],
)
def test_of_several_targets_the_rule_says_what_the_caller_sees(tmp_path: Path, rule: str, means: str) -> None:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE.replace("DEADLINE", f"1m, succeedsWhen: '{rule}'"))
    found = explain("app", SHIPPED, list(catalog.load(tmp_path / "catalogue.yaml")))
    assert [(each.succeeds_when, each.targets) for each in found.targets] == [(rule, 2)]
    assert said(found, f"one has 2 targets and succeedsWhen {rule}: its caller sees {means}")


def test_a_delivery_is_kept_through_short_pauses_and_given_back_for_long_ones(tmp_path: Path) -> None:
    assert explained(tmp_path, CONSTANT, "5m").held == 34 * SECOND
    assert explained(tmp_path, Policy(10 * SECOND, Retry(duration=6 * SECOND, max_retries=2)), "5m").held == 10 * SECOND


def test_a_delivery_whose_attempts_are_too_many_to_be_played_is_kept_until_the_deadline(tmp_path: Path) -> None:
    endless = Policy(SECOND, Retry(duration=5 * SECOND))
    assert explained(tmp_path, endless, "24h").held == timedelta(hours=24)
    assert explained(tmp_path, replace(endless, retry=Retry(duration=6 * SECOND)), "24h").held == SECOND
    assert explained(tmp_path, replace(endless, retry=Retry(duration=SECOND, max_retries=999)), "24h").held == 1999 * SECOND


def test_of_attempts_that_are_too_many_to_be_played_only_the_deadline_is_known(tmp_path: Path) -> None:
    seen = explained(tmp_path, Policy(SECOND, Retry(duration=SECOND)), "24h").targets[0].results["answers 503"]
    assert (seen.cut, seen.ends, seen.latest) == (True, (), timedelta(hours=24))
    assert said(explained(tmp_path, Policy(SECOND, Retry(duration=SECOND, max_retries=999)), "15m"), "200 or more attempts begin")


def test_an_expression_is_worked_out_once_for_the_same_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CEL that takes a millisecond each time, and a course that is played has hundreds of attempts."""
    asked: list[Counts] = []

    def evaluate(_text: str) -> Callable[[Counts], bool]:
        return lambda counts: asked.append(counts) is not None

    monkeypatch.setattr(trip, "_evaluate", evaluate)
    policy = Policy(SECOND, Retry("exponential", max_interval=SECOND), BreakerRules("totalFailures > 1000000 || requests > 1000000"))
    for deadline in (23 * 3600, 24 * 3600):
        result(policy, deadline * SECOND, answers(503))
    assert asked
    assert len(asked) == len(set(asked))


def test_a_policy_without_limit_is_played_to_a_bound() -> None:
    endless = play(Policy(SECOND, Retry(duration=timedelta(milliseconds=1))), timedelta(days=1), hangs, Random(1))
    assert (len(endless.attempts), endless.end) == (MOST_ATTEMPTS, None)
