"""Explains the policy of an app: attempts, pauses, what callers see, held against deadlines and the deliveries of the broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from bridge.catalog import Automation
from bridge.durations import show
from bridge.entities import UNLIMITED
from bridge.resilience import breakerwords, scenario
from bridge.resilience.policy import Policy, Worst, worst_case
from bridge.resilience.scenario import Answer, EdgeRandom, PlayedCourse, ScenarioResult

_WITHOUT_END = timedelta(days=3650)  #: the deadline of a course that only the policy ends

#: What the function does at every attempt, in the words of the table.
SCENARIOS: dict[str, Answer] = {"answers 503": scenario.answers(503), "never answers": scenario.hangs, "answers 404": scenario.answers(404)}


@dataclass(frozen=True)
class DeliveryLimits:
    """How the broker delivers the work of HTTP targets. `handler_timeout` is Dapr's for Service Bus, None without such a component.

    `hold` is the longest pause for which a delivery is kept; for a longer one the message is published anew.
    """

    source: str
    lock: timedelta
    deliveries: int
    handler_timeout: timedelta | None
    hold: timedelta


class AttemptTimes(NamedTuple):
    """When an attempt begins, at the earliest and the latest, and the pause before it; latest is None if there may be no such attempt."""

    number: int
    pause: tuple[timedelta, timedelta] | None
    earliest: timedelta
    latest: timedelta | None


@dataclass(frozen=True)
class TargetExplanation:
    """What becomes of one target of an automation, by what the function does."""

    automation: str
    target: str
    deadline: timedelta
    results: dict[str, ScenarioResult]
    succeeds_when: str = "all"
    targets: int = 1  #: of the automation; with one, what becomes of it is what the caller sees


@dataclass(frozen=True)
class Explanation:
    """All that is said of one app. `held` is the longest time for which one delivery is kept."""

    app: str
    policy: Policy
    worst: Worst
    attempts: tuple[AttemptTimes, ...]
    targets: tuple[TargetExplanation, ...]
    breaker: tuple[str, ...]
    delivery: DeliveryLimits | None
    held: timedelta
    remarks: tuple[str, ...]


def explain(app: str, policy: Policy, automations: Sequence[Automation], delivery: DeliveryLimits | None = None) -> Explanation:
    """Explain the policy of an app. `automations` may have targets of other apps too."""
    targets = tuple(_target(each, name, policy) for each in automations for name in _names(each, app))
    hold = delivery.hold if delivery is not None else timedelta(0)
    held = max((_held(policy, each.deadline, hold) for each in targets), default=timedelta(0))
    found = Explanation(
        app, policy, worst_case(policy), _attempts(policy), targets, tuple(breakerwords.sentences(policy.breaker)), delivery, held, ()
    )
    return replace(found, remarks=tuple(_remarks(found)))


def _names(automation: Automation, app: str) -> list[str]:
    return [each.name for each in automation.targets if each.http is not None and each.http.app == app]


def _target(automation: Automation, name: str, policy: Policy) -> TargetExplanation:
    results = {does: scenario.result(policy, automation.deadline, answer) for does, answer in SCENARIOS.items()}
    return TargetExplanation(automation.name, name, automation.deadline, results, automation.rule.text, len(automation.targets))


def _attempts(policy: Policy) -> tuple[AttemptTimes, ...]:
    """The attempts of one invocation that always fails, without its breaker: earliest if it fails at once, latest if it never answers."""
    alone = replace(policy, breaker=None)
    soon = scenario.play(alone, _WITHOUT_END, scenario.hangs_up, EdgeRandom(highest=False))
    late = scenario.play(alone, _WITHOUT_END, scenario.hangs, EdgeRandom(highest=True))
    low, high = _pauses(soon), _pauses(scenario.play(alone, _WITHOUT_END, scenario.hangs_up, EdgeRandom(highest=True)))
    return tuple(
        AttemptTimes(
            number + 1,
            (low[number - 1], high[number - 1] if number <= len(high) else low[number - 1]) if number else None,
            attempt.began,
            late.attempts[number].began if number < len(late.attempts) else None,
        )
        for number, attempt in enumerate(soon.attempts)
    )


def _pauses(course: PlayedCourse) -> list[timedelta]:
    return [later.began - earlier.ended for earlier, later in pairwise(course.attempts)]


def _held(policy: Policy, deadline: timedelta, hold: timedelta) -> timedelta:
    """The longest time for which one delivery is kept: attempts that never answer, with pauses that are waited for in place."""
    course = scenario.play(replace(policy, breaker=None), deadline, scenario.hangs, EdgeRandom(highest=True))
    attempts = course.attempts
    if course.end is None and all(each <= hold for each in _pauses(course)):
        return min(deadline, worst_case(policy).duration or deadline)
    began, longest = attempts[0].began, timedelta(0)
    for number, attempt in enumerate(attempts):
        if number and attempt.began - attempts[number - 1].ended > hold:
            began = attempt.began
        longest = max(longest, attempt.ended - began)
    return longest


def _remarks(found: Explanation) -> Iterator[str]:
    yield from _remarks_on_policy(found.policy, found.worst)
    for each in found.targets:
        yield from _remarks_on_deadline(each, found.policy, found.worst)
    yield from dict.fromkeys(_remark_on_rule(each) for each in found.targets if each.targets > 1)
    if found.delivery is not None and found.targets:
        yield from _remarks_on_delivery(found.delivery, found.policy, found.held)


def _remarks_on_policy(policy: Policy, worst: Worst) -> Iterator[str]:
    if policy.retry is None:
        yield "There are no retries: one failure of the function fails the run."
    elif policy.retry.max_retries is None:
        yield "maxRetries has no limit: only the deadline ends the attempts, or the 15 minutes of an exponential policy."
    number = breakerwords.opens_after(policy.breaker) if policy.breaker is not None else None
    if number is not None and (worst.attempts is None or number <= worst.attempts):
        yield f"One request that fails {number} times opens the breaker for all others: raise the trip above the attempts of one request."
    yield "Retry-After in an answer lengthens the pause before the next attempt; if it ends after the deadline, the run fails at once."


def _remarks_on_deadline(target: TargetExplanation, policy: Policy, worst: Worst) -> Iterator[str]:
    name = f"{target.automation}/{target.target}"
    seen = target.results["never answers"]
    fit = f"{seen.attempts[0]} or more" if seen.cut else str(seen.attempts[0])
    if policy.retry is not None and target.deadline < 2 * policy.timeout:
        yield f"{name}: the deadline of {show(target.deadline)} has no room for a second attempt after one of {show(policy.timeout)}."
    elif worst.duration is not None and worst.duration > target.deadline:
        attempts = "without limit" if worst.attempts is None else str(worst.attempts)
        yield (
            f"{name}: the policy may take {show(worst.duration)}, and the deadline ends the run after {show(target.deadline)}: "
            f"if the function never answers, {fit} attempts begin, not {attempts}."
        )


def _remark_on_rule(target: TargetExplanation) -> str:
    """What `succeedsWhen` makes of the ends of several targets."""
    rule = target.succeeds_when
    if rule == "all":
        means = "its caller sees Succeeded if all of them succeed; TargetsFailed if one does not, when all have ended"
    elif rule == "best-effort":
        means = (
            "its caller sees Succeeded if one of them has succeeded when all have ended or the deadline comes; TargetsFailed if none has"
        )
    else:
        needed = "one of them succeeds" if rule == "any" else f"{rule.partition(':')[2]} of them have succeeded"
        means = f"its caller sees Succeeded as soon as {needed}; TargetsFailed as soon as that is out of reach"
    return f"{target.automation} has {target.targets} targets and succeedsWhen {rule}: {means}, and TimedOut at the deadline."


def _remarks_on_delivery(delivery: DeliveryLimits, policy: Policy, held: timedelta) -> Iterator[str]:
    if delivery.handler_timeout is not None and timedelta(0) < delivery.handler_timeout <= policy.timeout:
        yield (
            f"handlerTimeoutInSec is {show(delivery.handler_timeout)}, and one call may take {show(policy.timeout)}: the delivery could "
            "end while its function runs. Choose a handlerTimeoutInSec above it, such as 300."
        )
    if held > delivery.lock:
        yield f"A delivery is held for at most {show(held)}, longer than its lock of {show(delivery.lock)}: the lock is renewed meanwhile."
    if delivery.deliveries < UNLIMITED:
        yield (
            f"MaxDeliveryCount of {delivery.source} is {delivery.deliveries}: that many restarts of the bridge while it handles the work "
            f"dead-letter it. Write {UNLIMITED}."
        )
    else:
        yield "A redelivery adds no attempts: earlier ones are on record, so retries and deliveries do not multiply."
