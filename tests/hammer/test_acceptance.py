"""The policy that is found for a function with 20 % 503 and 2 % hangs that breaks at 50 calls a second, and what a bridge makes of it.

All of it happens in virtual time and from seeds: the function is measured, the policy is found and written, and a whole bridge reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from bridge import catalog, resilience
from bridge.auth import LOCAL
from bridge.hammer import policyfile, trial
from bridge.hammer.faults import Faults, FaultScript
from bridge.hammer.report import HammerReport
from bridge.hammer.search import Goal, find
from bridge.hammer.simulation import RequestTally
from bridge.hammer.trial import TrialPlan
from bridge.resilience.explanation import Explanation, explain
from bridge.run import Run
from bridge.targets import http as http_targets
from tests.hammer.measuring import measured_with
from tests.hammer.virtualbridge import started
from tests.hammer.virtualtime import FaultyFunctions, run

GOAL = Goal(0.999, timedelta(minutes=1))
SEEDS = (1, 2)
REQUESTS = 1500
NEARLY = timedelta(milliseconds=1)  #: what the clocks of Python round


@dataclass
class Accepted:
    """All that came of one seed."""

    report: HammerReport
    tried: RequestTally
    runs: Sequence[Run]
    explained: Explanation
    folder: Path


async def _tried(plan: TrialPlan, folder: Path, policy: str, seed: int) -> tuple[RequestTally, list[Run]]:
    settings = trial.settings_of(folder, plan, policy, {"url": "http://127.0.0.1:1"})
    bridge = await started(settings, FaultyFunctions(FaultScript(Faults(), seed + 100)))
    tally = await trial.ask(bridge, plan, lambda _ended: None)
    return tally, [await bridge.services.bridge.find(f"hammer-{number}", LOCAL) for number in range(plan.requests)]


@pytest.fixture(scope="module", params=SEEDS)
def accepted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Accepted:
    seed, folder = request.param, tmp_path_factory.mktemp("trial")
    measured = measured_with(Faults(), seed)
    found = find(measured, GOAL)
    assert found is not None
    report = HammerReport("app", GOAL, measured, found)
    plan = TrialPlan("app", "/api/one", {}, found.rate, REQUESTS, GOAL.deadline, GOAL.room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_targets, "random", SimpleNamespace(Random=lambda: Random(seed)))
        tally, runs = run(_tried(plan, folder, policyfile.text(report), seed))
    policy = resilience.load(folder / "resiliency.yaml").for_app("app")
    return Accepted(report, tally, runs, explain("app", policy, list(catalog.load(folder / "automations.yaml"))), folder)


def test_the_rate_at_which_it_breaks_is_found(accepted: Accepted) -> None:
    broken = accepted.report.measured.lowest_broken
    assert broken is not None
    assert accepted.report.measured.highest_sound <= 50 < broken.rate < 60


def test_at_least_999_of_1000_requests_succeed_by_working_it_out(accepted: Accepted) -> None:
    found = accepted.report.found
    assert found is not None
    assert found.reached
    assert (found.usual.asked, found.usual.share >= 0.999) == (3000, True)


def test_at_least_999_of_1000_requests_to_a_bridge_with_the_policy_succeed_within_the_deadline(accepted: Accepted) -> None:
    assert accepted.tried.asked == REQUESTS
    assert accepted.tried.succeeded >= 0.999 * REQUESTS, accepted.tried.ends
    assert all(each.updated_at <= each.deadline for each in accepted.runs)


def test_what_was_written_is_what_was_found(accepted: Accepted) -> None:
    found = accepted.report.found
    assert found is not None
    assert resilience.load(accepted.folder / "resiliency.yaml").for_app("app") == found.policy


def test_explain_agrees_with_every_attempt_that_was_made(accepted: Accepted) -> None:
    """Each attempt began between the times that the table has for it, and no request had more attempts than the table."""
    table = accepted.explained.attempts
    for each in accepted.runs:
        attempts = each.invocations[0].attempts
        assert len(attempts) <= len(table) == accepted.explained.worst.attempts
        for times, attempt in zip(table, attempts, strict=False):
            began = attempt.started_at - attempts[0].started_at
            assert times.latest is not None
            assert times.earliest - NEARLY <= began <= times.latest + NEARLY * len(table), each.correlation_id


def test_the_policy_is_needed(accepted: Accepted) -> None:
    """With one attempt about every fifth request fails, by what was measured and by what was seen."""
    assert 0.7 < accepted.tried.cumulated()[0] < 0.85
    assert accepted.tried.most_attempts > 2


def test_what_was_worked_out_is_near_to_what_was_tried(accepted: Accepted) -> None:
    """It is a little worse, as failures are taken for as frequent as so few calls leave open."""
    found = accepted.report.found
    assert found is not None
    for worked_out, tried in zip(found.usual.cumulated(), accepted.tried.cumulated(), strict=False):
        assert worked_out == pytest.approx(tried, abs=0.08)
