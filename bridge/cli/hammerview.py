"""Prints the results of `bridge hammer`: loads and attempts as bars, then the policy in words."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cli.screen import Screen
from bridge.durations import show
from bridge.hammer.measurement import LoadStep, quantile
from bridge.hammer.policyfile import brief_worst, milliseconds, percent
from bridge.hammer.report import HammerReport
from bridge.hammer.search import FoundPolicy
from bridge.resilience import Policy, worst_case

_BAR = 24  #: characters
LEGEND = "calls a second; █ answered ▒ failed ░ hung; p50 to p99"


def bar(parts: dict[str, float]) -> str:
    """A bar with a part for each kind; the parts are in proportion to their shares."""
    drawn, total = "", 0.0
    for character, share in parts.items():
        total += share
        drawn += character * (round(total * _BAR) - len(drawn))
    return drawn.ljust(_BAR)


def step_line(step: LoadStep) -> str:
    """The line for one rate."""
    number, hung = max(len(step.calls), 1), sum(each.hung for each in step.calls)
    shares = {"█": len(step.answered) / number, "▒": (step.failed - hung) / number, "░": hung / number}
    usual = (
        f"{milliseconds(quantile(step.answered, 0.5))} to {milliseconds(quantile(step.answered, 0.99))}" if step.answered else "no answer"
    )
    return f"{step.rate:>6.1f}/s  {bar(shares)}  {len(step.answered):>4} of {len(step.calls):<4} {usual}{'  broke' if step.broken else ''}"


def tell(screen: Screen, found: HammerReport) -> None:
    """Print the result. A terminal that showed the progress has the loads already."""
    if not (screen.live and screen.out.is_terminal):
        screen.line(LEGEND)
        for step in sorted(found.measured.steps, key=lambda each: each.rate):
            screen.line(step_line(step))
    screen.line("")
    if found.found is None:
        codes = ", ".join(f"{code} {number}" for code, number in found.measured.codes.most_common()) or "nothing was called"
        screen.line(f"There is no policy: {found.measured.stopped or f'the function answered no call ({codes}).'}", "red")
        return
    for line in (*_attempts(found, found.found), "", *policy_words(found.found.policy), *_verdict(found, found.found)):
        screen.line(line)


def _attempts(found: HammerReport, policy: FoundPolicy) -> Iterator[str]:
    worked_out, tried = policy.usual.cumulated(), found.tried.cumulated() if found.tried is not None else []
    yield "requests that succeed, by attempts; worked out and tried"
    for number in range(max(len(worked_out), len(tried))):
        share = worked_out[min(number, len(worked_out) - 1)]
        seen = percent(tried[min(number, len(tried) - 1)], 2) if tried else "-"
        yield f"{number + 1:>6}    {bar({'█': share})}  {percent(share, 2):>8}  {seen:>8}"


def policy_words(policy: Policy) -> Iterator[str]:
    """The policy in words, one line for each part."""
    yield f"timeout         {show(policy.timeout)}"
    if policy.retry is not None:
        pause = f"every {show(policy.retry.duration)}" if policy.retry.policy == "constant" else f"up to {show(policy.retry.max_interval)}"
        yield f"retry           {policy.retry.policy}, {pause}, {policy.retry.max_retries} retries"
    if policy.breaker is not None:
        yield f"circuitBreaker  {policy.breaker.trip}, for {show(policy.breaker.timeout)}"


def _verdict(found: HammerReport, policy: FoundPolicy) -> Iterator[str]:
    worst, goal = worst_case(policy.policy), found.goal
    yield ""
    yield f"According to `bridge resilience explain` it makes at most {worst.attempts} attempts, in {brief_worst(worst.duration)} at worst."
    if found.tried is not None:
        tried = found.tried
        yield (
            f"Tried with a bridge at {policy.rate:.1f}/s: {tried.succeeded:,} of {tried.asked:,} requests succeeded within "
            f"{show(goal.deadline)} ({percent(tried.share, 2)}), with at most {tried.most_attempts} attempts, "
            f"the slowest after {tried.within(1.0):.1f} s."
        )
    elif found.untried:
        yield f"Not tried: {found.untried}"
    if not policy.reached:
        yield f"That is the best of {policy.tried} policies, and less than {percent(goal.share, 2)}."
