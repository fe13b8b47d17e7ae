"""Asking a bridge for many requests at a rate. In virtual time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from bridge import catalog
from bridge.hammer import trial
from bridge.hammer.faults import Faults, FaultScript
from bridge.hammer.simulation import RequestTally
from bridge.hammer.trial import CallBounds, TrialPlan
from tests.hammer.virtualbridge import started
from tests.hammer.virtualtime import FaultyFunctions, run

POLICY = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: app}
spec:
  policies: {retries: {app: {policy: constant, duration: 1s, maxRetries: 2}}}
  targets: {apps: {app: {retry: app}}}
"""
FAILING = Faults(errors=1, hangs=0, breaks_at=None)


def plan(*, requests: int = 20, bounds: CallBounds = CallBounds()) -> TrialPlan:  # noqa: B008 - it is immutable
    return TrialPlan("app", "/api/one", {"a": 1}, 10, requests, timedelta(seconds=30), 20, bounds)


def asked(folder: Path, what: TrialPlan, faults: Faults, catalogue: str = "") -> tuple[RequestTally, int, list[int]]:
    """What came of the requests, how often the function was called, and what was told."""
    settings = trial.settings_of(folder, what, POLICY, {"url": "http://127.0.0.1:1"})
    if catalogue:
        settings.catalogue.write_text(catalogue)
    functions, told = FaultyFunctions(FaultScript(faults, 1)), list[int]()

    async def work() -> RequestTally:
        return await trial.ask(await started(settings, functions), what, told.append)

    return run(work()), functions.calls, told


def test_every_request_is_counted_with_its_end_and_its_attempts(tmp_path: Path) -> None:
    tally, calls, told = asked(tmp_path, plan(), FAILING)
    assert (tally.ends, tally.attempts, tally.calls, calls) == ({"Failed": 20}, {3: 20}, 60, 60)
    assert told == list(range(1, 21))


def test_requests_stop_before_their_attempts_could_be_more_calls_than_are_allowed(tmp_path: Path) -> None:
    tally, calls, _ = asked(tmp_path, plan(bounds=CallBounds(calls=20, attempts=3)), FAILING)
    assert (tally.asked, calls) == (6, 18)


def test_where_fewer_attempts_are_needed_more_requests_are_made(tmp_path: Path) -> None:
    tally, calls, _ = asked(tmp_path, plan(bounds=CallBounds(calls=20, attempts=3)), Faults(errors=0, hangs=0))
    assert (tally.asked, calls) == (18, 18)


def test_a_request_that_the_bridge_refuses_ends_with_the_reason(tmp_path: Path) -> None:
    other = trial.catalogue(plan()).replace("hammer.trial", "other")
    tally, calls, _ = asked(tmp_path, plan(requests=3), FAILING, other)
    assert (tally.ends, calls) == ({"UnknownAutomation": 3}, 0)


def test_the_catalogue_of_the_trial_has_the_deadline_and_the_room_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "automations.yaml").write_text(trial.catalogue(plan()))
    [automation] = catalog.load(tmp_path / "automations.yaml")
    [target] = automation.targets
    assert target.http is not None
    assert (automation.deadline, target.http.concurrency, target.http.path) == (timedelta(seconds=30), 20, "/api/one")
