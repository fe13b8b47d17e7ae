"""The bridge's policies and Dapr's are the same: both read one file, and daprd does what the bridge would decide (docs/resilience.md)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import mean, median

import pytest

from bridge import resilience
from bridge.errors import ConfigurationError
from bridge.outcome import Failed
from bridge.resilience import Again, Breaker, BreakerState, Policy, Stop, scenario
from bridge.resilience.explanation import SCENARIOS
from tests.dapr.drawn import Case, Silence, draw
from tests.dapr.scripted import Ended, Request, Stage, play_all, stage
from tests.dapr.twin import Disagreement, Twin, came_to

SEED, DRAWN, LEAST = 20261123, 240, 200
#: Policies that may differ the first time: on a busy machine a call can pass its timeout before it comes in, and daprd itself
#: takes about one hung-up call in 6,000 for a success.
SELDOM = 12
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Comparison:
    """What came of all drawn policies. What differs is played once more: only what differs twice is a difference."""

    seen: list[Request] = field(default_factory=list)
    states: set[tuple[BreakerState, ...]] = field(default_factory=set)
    twins: list[Twin] = field(default_factory=list)
    differences: list[dict[str, str]] = field(default_factory=list)  #: of the first time and of the second, by app


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """All drawn policies, through daprd and then through the bridge's decisions."""
    found, cases = Comparison(), [draw(SEED, number) for number in range(DRAWN)]
    for _ in range(2):
        differing = asyncio.run(_compare(found, cases, tmp_path_factory.mktemp("drawn"))) if cases else {}
        found.differences.append(differing)
        cases = [case for case in cases if case.name in differing]
    return found


async def _compare(found: Comparison, cases: Sequence[Case], folder: Path) -> dict[str, str]:
    async with stage(cases, folder) as staged:
        seen = await play_all(staged, cases)
        states, policies = staged.states(), resilience.load(staged.policies)
    differing = {}
    for case, requests in zip(cases, seen, strict=True):
        twin = Twin(policies.for_app(case.name))
        try:
            twin.follow(requests, states.get(case.name, []))
        except Disagreement as fault:
            differing[case.name] = f"seed {SEED}, {case}\n  {fault.what}"
            continue
        found.seen += requests
        found.states.add(tuple(states.get(case.name, ())))
        found.twins.append(twin)
    return differing


def test_daprd_and_the_bridge_apply_every_drawn_policy_alike(compared: Comparison) -> None:
    first, second = compared.differences
    assert not second, "\n".join(second.values())
    assert len(first) <= SELDOM, "\n".join(first.values())


def test_what_was_measured_leaves_no_doubt_about_two_hundred_of_them(compared: Comparison) -> None:
    assert sum(twin.certain for twin in compared.twins) >= LEAST


def test_the_usual_attempt_comes_when_its_pause_is_over(compared: Comparison) -> None:
    assert median(late for twin in compared.twins for late in twin.late) < 0.1


def test_exponential_pauses_are_spread_to_both_sides(compared: Comparison) -> None:
    spread = [share for twin in compared.twins for share in twin.spread]
    assert min(spread) < 0.75
    assert max(spread) > 1.25


def test_exponential_pauses_grow_as_the_bridge_expects(compared: Comparison) -> None:
    late = median(late for twin in compared.twins for late in twin.late)
    assert 0.8 < mean(pause.share(late) for twin in compared.twins for pause in twin.grown) < 1.2


def test_the_draw_reaches_what_there_is_to_compare(compared: Comparison) -> None:
    said = {request.said for request in compared.seen}
    deeds = {attempt.deed for request in compared.seen for attempt in request.attempts}
    assert {200, 404, 408, 429, 503, Ended.NO_ANSWER, Ended.REFUSED} <= said
    assert {Silence.HANGS_UP, Silence.IS_SLOW} <= deeds
    assert {(BreakerState.OPEN, BreakerState.HALF_OPEN, then) for then in (BreakerState.OPEN, BreakerState.CLOSED)} <= {
        states[:3] for states in compared.states
    }


ALWAYS = {"answers 503": 503, "never answers": Silence.IS_SLOW}
EXPLAINED = [
    {"retry": {"duration": "5ms", "maxRetries": 3, "matching": {"httpStatusCodes": "500-599"}}},
    {"retry": {"policy": "exponential", "maxRetries": 2}},
    {"retry": {"policy": "exponential", "maxInterval": "200ms", "maxRetries": 3}},
    {"retry": {"duration": "5ms", "maxRetries": 0}},
    {},
]


async def test_what_explain_says_of_a_function_that_always_fails_is_what_daprd_does(tmp_path: Path) -> None:
    scripts = [(does, deed, policy) for does, deed in ALWAYS.items() for policy in EXPLAINED]
    cases = [Case(f"a-{number}", [deed] * 9, timeout="200ms", **policy) for number, (_, deed, policy) in enumerate(scripts)]
    async with stage(cases, tmp_path) as staged:
        seen, policies = await play_all(staged, cases), resilience.load(staged.policies)
    for (does, _, _), case, (request,) in zip(scripts, cases, seen, strict=True):
        expected = scenario.result(policies.for_app(case.name), timedelta(minutes=5), SCENARIOS[does])
        assert (len(request.attempts), len(request.attempts)) == expected.attempts, case
        assert request.ended - request.sent >= expected.earliest.total_seconds(), case


async def _differently(folder: Path, case: Case) -> tuple[list[Request], Policy]:
    async with stage([case], folder) as staged:
        return await staged.play(case), resilience.load(staged.policies).for_app(case.name)


def _again(policy: Policy, outcome: object) -> Again | Stop:
    assert isinstance(outcome, Failed)
    return resilience.after_failure(policy.retry, 1, outcome, timedelta(0), Random(1))


async def test_dapr_counts_every_4xx_against_an_app_and_the_bridge_counts_trouble_only(tmp_path):
    case = Case("app", [404] * 3, [0.0] * 4, breaker={"trip": "consecutiveFailures >= 3"})
    seen, policy = await _differently(tmp_path, case)
    assert [request.said for request in seen] == [404, 404, 404, Ended.REFUSED]
    breaker = Breaker(policy.breaker)
    for _ in range(3):
        breaker = resilience.record(breaker, breaker.generation, came_to(404), NOW)
    assert breaker.state is BreakerState.CLOSED


async def test_without_matching_dapr_repeats_every_4xx_and_the_bridge_what_a_repeat_can_change(tmp_path):
    case = Case("app", [404] * 3, retry={"duration": "5ms", "maxRetries": 2})
    (request,), policy = await _differently(tmp_path, case)
    assert len(request.attempts) == 3
    assert _again(policy, came_to(404)) == Stop()


async def test_dapr_does_not_hear_retry_after(tmp_path):
    case = Case("app", [503], retry={"duration": "5ms", "maxRetries": 1}, headers={"retry-after": "3600"})
    (request,), policy = await _differently(tmp_path, case)
    assert (request.said, len(request.attempts)) == (200, 2)
    assert _again(policy, came_to(503, case.headers)) == Again(timedelta(hours=1))


async def test_an_open_breaker_ends_a_call_of_dapr_and_holds_one_of_the_bridge_back(tmp_path):
    case = Case(
        "app", [503] * 9, retry={"duration": "5ms", "maxRetries": 5}, breaker={"trip": "consecutiveFailures >= 2", "timeout": "60s"}
    )
    (request,), policy = await _differently(tmp_path, case)
    assert (request.said, len(request.attempts)) == (Ended.REFUSED, 2)
    breaker = Breaker(policy.breaker)
    for _ in range(2):
        breaker = resilience.record(breaker, breaker.generation, came_to(503), NOW)
    assert isinstance(_again(policy, came_to(503)), Again)
    assert resilience.shut_until(breaker, NOW) == NOW + timedelta(seconds=60)


async def test_dapr_has_a_breaker_for_each_path_of_an_app_but_one_for_an_endpoint(tmp_path):
    case = Case("automation-bridge", [500] * 9, breaker={"trip": "totalFailures >= 1"}, endpoint=False)
    async with stage([case], tmp_path) as staged:
        said = [(await staged.request(case.name, f"{case.name}/{path}")).said for path in ("one", "one", "other", "other")]
    assert said == [500, Ended.REFUSED, 500, Ended.REFUSED]


async def test_dapr_hands_on_an_answer_that_breaks_off_and_the_bridge_tries_again(tmp_path):
    case = Case("app", [Silence.BREAKS_OFF], retry={"duration": "5ms", "maxRetries": 1})
    (request,), policy = await _differently(tmp_path, case)
    assert (request.said, len(request.attempts)) == (200, 1)
    assert isinstance(_again(policy, came_to(Silence.BREAKS_OFF)), Again)


async def test_dapr_compares_counts_with_fractions_and_the_bridge_wants_them_converted(tmp_path):
    case = Case("app", [500], [0.0, 0.0], breaker={"trip": "totalFailures > 0.5"})
    async with stage([case], tmp_path) as staged:
        assert [(await staged.request(case.name)).said for _ in range(2)] == [500, Ended.REFUSED]
        with pytest.raises(ConfigurationError, match="all of them whole numbers"):
            resilience.load(staged.policies)


async def test_while_half_open_daprd_lets_as_many_probes_through_as_the_bridge_would(tmp_path):
    case = Case(
        "app", [500, *[Silence.IS_SLOW] * 9], timeout="400ms", breaker={"trip": "totalFailures >= 1", "timeout": "50ms", "maxRequests": 2}
    )
    async with stage([case], tmp_path) as staged:
        await staged.request(case.name)
        await asyncio.sleep(0.1)  # daprd's clock cannot be set
        said = [request.said for request in await _at_once(staged, case.name, 5)]
        breaker = resilience.failure(Breaker(resilience.load(staged.policies).for_app(case.name).breaker), 0, NOW)
    through = 0
    for _ in said:
        decision, breaker = resilience.allow(breaker, NOW + timedelta(milliseconds=100))
        through += isinstance(decision, resilience.Allowed)
    assert said.count(Ended.NO_ANSWER) == through == 2


async def _at_once(staged: Stage, name: str, number: int) -> list[Request]:
    return await asyncio.gather(*(staged.request(name) for _ in range(number)))


def test_what_the_document_names_is_tried_here() -> None:
    named = re.findall(r"`(test_\w+)`", (Path(__file__).parents[2] / "docs" / "resilience.md").read_text())
    assert named
    assert not [name for name in named if name not in globals()]
