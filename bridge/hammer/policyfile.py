"""Writes a policy that was found as a Resiliency document, with the reasons as comments."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from bridge.durations import show
from bridge.hammer.measurement import Measurement, quantile
from bridge.hammer.report import HammerReport
from bridge.hammer.search import FoundPolicy, Goal
from bridge.resilience import BreakerRules, Policy, Retry, worst_case

_WIDTH = 130  #: characters of a line
_PLAIN = re.compile(r"[a-z][a-z0-9-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  #: that YAML takes for something else than a name


def text(report: HammerReport) -> str:
    """The document. The report must have a policy."""
    found = report.found
    assert found is not None  # noqa: S101 - the caller has asked
    name, policy = key(report.app), found.policy
    lines = [
        *_comment("", _head(report, found)),
        "apiVersion: dapr.io/v1alpha1",
        "kind: Resiliency",
        f"metadata: {{name: {name}}}",
        "spec:",
        "  policies:",
        "    timeouts:",
        *_comment("      ", [_why_timeout(report.measured, policy)]),
        f"      {name}: {show(policy.timeout)}",
        *_retry(name, policy, report.measured, report.goal),
        *_breaker(name, policy.breaker, report.measured),
        "  targets:",
        "    apps:",
        f"      {name}: {{{', '.join(_named(name, policy))}}}",
    ]
    return "\n".join(lines) + "\n"


def key(app: str) -> str:
    """The name of an app as YAML reads it back: quoted where it would be a number, or yes or no."""
    return app if _PLAIN.fullmatch(app) and app not in _WORDS else json.dumps(app)


def _named(name: str, policy: Policy) -> Iterator[str]:
    yield f"timeout: {name}"
    if policy.retry is not None:
        yield f"retry: {name}"
    if policy.breaker is not None:
        yield f"circuitBreaker: {name}"


def _head(report: HammerReport, found: FoundPolicy) -> Iterator[str]:
    measured, usual = report.measured, found.usual
    yield (
        f"Found by `bridge hammer {report.app}`. Merge it into functions/resiliency.yaml; `bridge resilience explain {report.app}` says "
        "what it amounts to."
    )
    failed = "none failed"
    if measured.codes:
        codes = ", ".join(f"{code} {percent(number / len(measured.usual))}" for code, number in measured.codes.most_common())
        failed = f"{percent(measured.failing)} failed ({codes}); as the sample is small, it may be {percent(measured.failing_at_most)}"
    rates = [each.rate for each in measured.sound]
    yield f"Measured: {len(measured.usual):,} calls at {rates[0]:.0f} to {max(rates):.0f} a second, of which {failed}."
    times = measured.times
    yield (
        f"Latency of the answers: p50 {milliseconds(quantile(times, 0.5))}, p99 {milliseconds(quantile(times, 0.99))}, "
        f"longest {milliseconds(times[-1])}."
    )
    yield from _breaking(measured, found.policy)
    yield (
        f"Worked out: of {usual.asked:,} requests at {found.rate:.1f}/s {percent(usual.share, 2)} succeed within "
        f"{show(report.goal.deadline)}, "
        f"99 % of them within {usual.within(0.99):.1f} s, with {usual.calls / usual.asked:.2f} calls each."
    )
    if found.surge is not None:
        yield f"After a surge that breaks the function, {percent(found.surge.share)} succeed, including those of the surge."
    if not found.reached:
        yield f"NOT REACHED: the aim was {percent(report.goal.share, 2)}. This is the best of {found.tried} policies."
    if report.tried is not None:
        tried = report.tried
        yield (
            f"Tried with a bridge: {tried.succeeded:,} of {tried.asked:,} requests succeeded. No request took more than "
            f"{tried.most_attempts} attempts; the policy allows {worst_case(found.policy).attempts}."
        )
    elif report.untried:
        yield f"NOT TRIED: {report.untried}"


def _breaking(measured: Measurement, policy: Policy) -> Iterator[str]:
    broken = measured.lowest_broken
    if broken is None:
        yield f"It did not break at {measured.highest_sound:.0f} calls a second; higher rates were not tried."
        return
    failed = percent(broken.failed / max(len(broken.calls), 1))
    again = f" It answered again {measured.recovery:.1f} s after that load." if measured.recovery is not None else ""
    yield f"It sustains {measured.highest_sound:.0f} calls a second and breaks at {broken.rate:.0f}: {failed} failed.{again}"
    limit = policy.timeout.total_seconds()
    usual = sum(min(each.seconds, limit) for each in measured.usual) / len(measured.usual)
    room = max(math.floor(measured.highest_sound * usual), 1)
    yield (
        f"`concurrency: {room}` for its targets in the catalogue, over all replicas, limits it to that rate, since a call takes "
        f"{milliseconds(usual)} on average, including hung ones."
    )


def _why_timeout(measured: Measurement, policy: Policy) -> str:
    times = policy.timeout.total_seconds() / measured.times[-1]
    return (
        f"{times:.1f} times the longest answer: a call that takes longer counts as hung, and the next attempt may begin. "
        "Cold starts were not measured; an app that scales to zero needs more."
    )


def _retry(name: str, policy: Policy, measured: Measurement, goal: Goal) -> Iterator[str]:
    retry, worst = policy.retry, worst_case(policy)
    if retry is None:
        return
    yield "    retries:"
    yield f"      {name}:"
    left = measured.failing_at_most ** (worst.attempts or 1)
    longest = brief_worst(worst.duration)
    why = (
        f"{worst.attempts} attempts, because {percent(measured.failing_at_most)} of single ones may fail: of a million requests "
        f"{left * 1e6:,.0f} fail in all of them. At worst they take {longest} of the deadline of {show(goal.deadline)}."
    )
    yield from _comment("        ", [why, _why_pauses(retry)])
    yield f"        policy: {retry.policy}"
    yield f"        {_pause_line(retry)}"
    yield f"        maxRetries: {retry.max_retries}"
    yield from _comment("        ", ["What a retry can change; every other 4xx is an answer."])
    yield "        matching: {httpStatusCodes: '408,429,500-599'}"


def _pause_line(retry: Retry) -> str:
    return f"duration: {show(retry.duration)}" if retry.policy == "constant" else f"maxInterval: {show(retry.max_interval)}"


def _why_pauses(retry: Retry) -> str:
    if retry.policy == "constant":
        return "Constant pauses were at least as good as growing ones at this rate, and after a surge."
    return "Growing pauses with jitter: calls that failed together are not retried together."


def _breaker(name: str, rules: BreakerRules | None, measured: Measurement) -> Iterator[str]:
    if rules is None:
        return
    yield "    circuitBreakers:"
    yield f"      {name}:"
    yield from _comment(
        "        ", ["More failures in a row than ordinary ones produce: it opens for an outage, not for bad luck or one request."]
    )
    yield f"        trip: {rules.trip}"
    seen = "About twice the time until the function answered again."
    why = seen if measured.recovery else "The time an app takes to start, or a part of the deadline: the function did not break."
    yield from _comment("        ", [f"{why} Then one call probes."])
    yield f"        timeout: {show(rules.timeout)}"
    yield "        maxRequests: 1"


def _comment(indent: str, sentences: Iterable[str]) -> Iterator[str]:
    """Sentences as comment lines, each sentence on lines of its own."""
    for sentence in sentences:
        line = f"{indent}#"
        for word in sentence.split():
            if len(line) + len(word) >= _WIDTH:
                yield line
                line = f"{indent}#  "
            line += f" {word}"
        yield line


def percent(share: float, digits: int = 1) -> str:
    """A share in percent."""
    return f"{share * 100:.{digits}f} %"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, or as seconds from ten on."""
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds * 1000:,.0f} ms"


def brief_worst(span: timedelta | None) -> str:
    """The worst time in seconds."""
    return "as long as the deadline" if span is None else f"{span.total_seconds():.1f} s"
