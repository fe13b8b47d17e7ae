"""Finds a policy for a function that was measured: the fewest attempts with which enough requests succeed, also after a surge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bridge.hammer.measurement import Measurement
from bridge.hammer.simulation import Conditions, MeasuredFunction, RequestTally, Simulation
from bridge.resilience import BreakerRules, Policy, Retry, worst_case

_REQUESTS = 3000  #: of one simulation
_SEED = 20261130
_MOST_RETRIES = 10
_FURTHER = 2  #: policies with more retries than are needed, as a surge may want them
_SHORTEST = timedelta(seconds=1)  #: of a timeout: below it a moment of the network is a failure
_HOPELESS = 10  #: times as many failures as may be: what a single number already says is not worked out
_SLOWER = (1, 2, 4)  #: shares of the rate that are tried, one after the other, until a policy does what it is meant to
_MARGIN = 0.8  #: of the rate that the function bears, so that a moment of more does not break it
_RARE = 1e-7  #: the probability that so many usual failures in a row open the breaker
_RECOVERS = timedelta(seconds=30)  #: the breaker's timeout for a function that was not seen to break, about what an app takes to start
_SURGE = 3.0  #: seconds for which twice the breaking rate arrives
_STEP = 0.05  #: shares of a surge that differ by less are the same
_NICE = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 10.0)
RETRIES = (Retry("exponential", max_interval=timedelta(seconds=15)), Retry("constant", duration=timedelta(seconds=1)))


@dataclass(frozen=True)
class Goal:
    """Which share of requests is to succeed within the deadline; and how many calls of a target run at a time."""

    share: float
    deadline: timedelta
    room: int = 20


@dataclass(frozen=True)
class FoundPolicy:
    """The policy, and what it comes to: at `rate` requests a second, and with a surge before (None if the function never broke).

    `reached`: whether as many requests succeed as are meant to. `tried` is the number of policies that were worked out.
    """

    policy: Policy
    rate: float
    usual: RequestTally
    surge: RequestTally | None
    reached: bool
    tried: int


def find(measured: Measurement, goal: Goal) -> FoundPolicy | None:
    """The best policy; None if the function answered nothing that a policy could be made of."""
    rate = usable_rate(measured, goal)
    if not measured.times or rate <= 0:
        return None
    found: list[FoundPolicy] = []
    for slower in _SLOWER:
        found += [each for policies in _families(measured, goal) for each in _worked_out(measured, policies, goal, rate / slower)]
        if any(each.reached for each in found):
            break
    return replace(min(found, key=_rank), tried=len(found))


def _worked_out(measured: Measurement, policies: Sequence[Policy], goal: Goal, rate: float) -> Iterator[FoundPolicy]:
    """What policies with more and more retries come to, until some reach the goal. Those that cannot reach it are passed over."""
    enough = 0
    for policy in policies:
        attempts = worst_case(policy).attempts or 1
        if measured.failing**attempts > _HOPELESS * (1 - goal.share) and policy is not policies[-1]:
            continue
        usual = simulated(measured, policy, goal, [number / rate for number in range(_REQUESTS)])
        reached = _reaches(usual, goal)
        yield FoundPolicy(policy, rate, usual, _surge(measured, policy, goal, rate) if reached else None, reached, 0)
        enough += reached
        if enough > _FURTHER:
            return


def _reaches(usual: RequestTally, goal: Goal) -> bool:
    """Whether enough requests succeed, with half of the failures to spare, and nearly all of them well before the deadline."""
    return 1 - usual.share <= (1 - goal.share) / 2 and usual.within(0.99) <= goal.deadline.total_seconds() / 2


def usable_rate(measured: Measurement, goal: Goal) -> float:
    """The requests a second that the function bears with their retries, and for which there is room; a little less to be safe."""
    usual = sum(each.seconds for each in measured.usual) / max(len(measured.usual), 1)
    calls = min(measured.highest_sound, goal.room / max(usual, 0.001))
    return calls * (1 - measured.failing_at_most) * _MARGIN


def _rank(found: FoundPolicy) -> tuple[float, ...]:
    """Smaller is better: reached at all, survives a surge, few attempts, soon done."""
    if not found.reached:
        return (1, -found.usual.share)
    survives = found.surge.share if found.surge is not None else 1.0
    attempts = worst_case(found.policy).attempts or math.inf
    return (0, -round(survives / _STEP) * _STEP, attempts, round(found.usual.within(0.99), 1), found.policy.timeout.total_seconds())


def _families(measured: Measurement, goal: Goal) -> Iterator[Sequence[Policy]]:
    """For each timeout and each kind of pause: policies with more and more retries, as long as their worst case fits the deadline."""
    longest = measured.times[-1]
    shortest = min(_SHORTEST, goal.deadline / 8)
    timeouts = {min(max(nice(longest * factor), shortest), goal.deadline / 2) for factor in (2, 4)}
    for timeout in sorted(timeouts):
        for kind in RETRIES:
            yield list(_more_and_more(measured, goal, timeout, kind))


def _more_and_more(measured: Measurement, goal: Goal, timeout: timedelta, kind: Retry) -> Iterator[Policy]:
    for retries in range(_MOST_RETRIES + 1):
        retry = replace(kind, max_retries=retries) if retries else None
        policy = Policy(timeout, retry, breaker(measured, goal, retries + 1))
        longest = worst_case(policy).duration
        if retries and (longest is None or longest > goal.deadline):
            return
        yield policy


def breaker(measured: Measurement, goal: Goal, attempts: int) -> BreakerRules:
    """A breaker that neither one request with all its attempts opens, nor failures in a row that are usual."""
    failing = measured.failing_at_most
    in_a_row = math.ceil(math.log(_RARE) / math.log(failing)) if 0 < failing < 1 else 0
    recovers = _RECOVERS if measured.recovery is None else nice(max(2 * measured.recovery, 1.0))
    return BreakerRules(f"consecutiveFailures > {max(attempts + 1, in_a_row)}", min(recovers, goal.deadline / 4))


def simulated(measured: Measurement, policy: Policy, goal: Goal, arrivals: list[float], *, cautious: bool = True) -> RequestTally:
    """What becomes of requests that arrive at these times."""
    function = MeasuredFunction(measured, _SEED, cautious=cautious)
    return Simulation(policy, function.answer, Conditions(goal.deadline, goal.room, _SEED)).run(arrivals)


def _surge(measured: Measurement, policy: Policy, goal: Goal, rate: float) -> RequestTally | None:
    """What becomes of a surge, and of the requests after it."""
    broken = measured.lowest_broken
    if broken is None:
        return None
    surge = [number / (2 * broken.rate) for number in range(round(_SURGE * 2 * broken.rate))]
    after = [_SURGE + number / rate for number in range(round(10 * rate))]
    return simulated(measured, policy, goal, [*surge, *after])


def nice(seconds: float) -> timedelta:
    """The next number that people write, such as 1.5s or 300ms."""
    size = 10 ** math.floor(math.log10(seconds)) if seconds > 0 else 0.001
    return timedelta(milliseconds=round(next(each * size for each in _NICE if each * size >= seconds * 0.999) * 1000))
