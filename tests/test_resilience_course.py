"""The course of an invocation as it is worked out, beside the bridge, which handles the same run with a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from bridge.errors import CallFailed
from bridge.outcome.httpanswer import classify
from bridge.ports import FunctionCall, FunctionResponse
from bridge.resilience import BreakerRules, Policies, Policy, Retry
from bridge.resilience.course import CallDue, Course, CourseBreaker, CourseEnd, PauseDue
from bridge.resilience.scenario import EdgeRandom
from bridge.targets import http as http_targets
from bridge.testing import NOON
from tests.pipeline_kit import World, world

DEADLINE = timedelta(minutes=1)
DRAWN, DEEDS = 80, (200, 404, 408, 429, 500, 503, 503, "hangs", "hangs up", "slow")
SLOW = 3.0  #: seconds
Seen = tuple[list[float], tuple[str, str], float]
"""When attempts began, the status and code at the end, and when that was, in seconds."""


def draw(number: int) -> tuple[Policy, list[int | str]]:
    """A policy, and what its function does; the last deed is repeated for ever."""
    rng = Random(number)
    kind = rng.choice(["constant", "exponential"])
    retry = Retry(
        "exponential" if kind == "exponential" else "constant",
        duration=timedelta(milliseconds=rng.choice([1, 500, 4000, 5001, 20_000])),
        max_interval=timedelta(seconds=rng.choice([1, 4, 15])),
        max_retries=rng.choice([0, 1, 3, 6]),
    )
    trip = rng.choice(["consecutiveFailures > 1", "consecutiveFailures > 5", "totalFailures >= 3", "requests > 2 && totalFailures > 1"])
    breaker = BreakerRules(trip, timedelta(seconds=rng.choice([2, 20, 90])), max_requests=1)
    timeout = timedelta(seconds=rng.choice([1, 10, 19.98, 25, 90]))
    deeds = [rng.choice(DEEDS) for _ in range(rng.randint(1, 5))]
    return Policy(timeout, rng.choice([retry, retry, None]), rng.choice([breaker, None])), deeds


def answer(deed: int | str, limit: timedelta) -> tuple[FunctionResponse | CallFailed, timedelta]:
    """What the function does within the limit, and how long it takes."""
    slow = min(timedelta(seconds=SLOW), limit)
    if deed == "hangs" or (deed == "slow" and slow == limit):
        return CallFailed("Timeout", "no answer", may_have_run=True), limit
    if deed == "hangs up":
        return CallFailed("ConnectionLost", "hung up", may_have_run=True), timedelta(0)
    return FunctionResponse(200 if deed == "slow" else int(deed), {}, b"{}"), slow if deed == "slow" else timedelta(0)


async def bridged(started: World, policy: Policy, deeds: list[int | str]) -> Seen:
    """What the bridge does."""
    left = list(deeds)

    async def function(call: FunctionCall) -> FunctionResponse:
        found, took = answer(left.pop(0) if len(left) > 1 else left[0], call.timeout)
        started.clock.advance(took)
        if isinstance(found, CallFailed):
            raise found
        return found

    started.plans = replace(started.plans, policies=Policies({"app": policy}))
    started.functions.answers["/api/one"] = [function]
    await started.start()
    await started.ask("one")
    await started.bus.deliver()
    while not (run := await started.run()).status.final:
        due = min(each.deliver_at for each in started.bus.waiting if each.deliver_at and each.deliver_at > started.clock.now())
        started.clock.advance(due - started.clock.now())
        await started.bus.deliver()
    began = [(each.started_at - NOON).total_seconds() for each in run.invocations[0].attempts]
    return began, (run.status, run.error.code if run.error else ""), (run.updated_at - NOON).total_seconds()


def worked_out(policy: Policy, deeds: list[int | str]) -> Seen:
    """What the course says that the bridge does."""
    course, now, began, left = (
        Course(policy, CourseBreaker(policy.breaker), NOON, DEADLINE, EdgeRandom(highest=True)),
        NOON,
        [],
        list(deeds),
    )
    while not isinstance(step := course.next(now), CourseEnd):
        if isinstance(step, PauseDue):
            now = step.until
            continue
        assert isinstance(step, CallDue)
        began.append((now - NOON).total_seconds())
        found, took = answer(left.pop(0) if len(left) > 1 else left[0], step.limit)
        now += took
        course.answered(classify(found, 1000), now)
    return began, (step.status, step.code), (step.at - NOON).total_seconds()


@pytest.mark.parametrize("number", range(DRAWN))
async def test_the_bridge_takes_the_course_that_is_worked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(http_targets, "random", SimpleNamespace(Random=lambda: EdgeRandom(highest=True)))
    policy, deeds = draw(number)
    began, end, ended = await bridged(await world(tmp_path), policy, deeds)
    expected, expected_end, expected_time = worked_out(policy, deeds)
    assert (began, end, ended) == (pytest.approx(expected, abs=0.001), expected_end, pytest.approx(expected_time, abs=0.001)), deeds


def test_the_draw_reaches_every_end() -> None:
    seen = [worked_out(*draw(number)) for number in range(DRAWN)]
    assert {status for _, (status, _), _ in seen} == {"Succeeded", "Failed", "TimedOut"}
    assert max(len(began) for began, _, _ in seen) > 4
