"""Prints the explanation of a policy, made from the files that the settings name, as tables or as JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bridge import catalog, entities, events, resilience
from bridge.cli.screen import Screen
from bridge.doctor import reading
from bridge.doctor.values import component_type, metadata_text, number
from bridge.durations import show
from bridge.entities import UNLIMITED
from bridge.errors import ConfigurationError
from bridge.resilience.explanation import DeliveryLimits, Explanation, TargetExplanation
from bridge.resilience.explanation import explain as explained
from bridge.resilience.policy import Worst
from bridge.resilience.scenario import MOST_ATTEMPTS, ScenarioResult
from bridge.settings import Settings
from bridge.targets.http import HOLD

_SOURCE = f"{events.INVOCATIONS}/bridge"
_HANDLER = timedelta(seconds=60)  #: the default of Dapr's component
_ROWS = 12  #: attempts that people are shown; JSON has more


def of_settings(app: str, found: Settings) -> Explanation:
    """The explanation for an app. Raises ConfigurationError if a file cannot be read, or if no file names the app."""
    policies, automations = resilience.load(found.resiliency), list(catalog.load(found.catalogue))
    called = {target.http.app for each in automations for target in each.targets if target.http is not None}
    if app not in called | set(policies.by_app):
        near = difflib.get_close_matches(app, sorted(called | set(policies.by_app)), 1)
        there = f"Did you mean {near[0]!r}?" if near else f"There is {', '.join(sorted(called))}." if called else "It calls no app."
        raise ConfigurationError([f"No automation of {found.catalogue} calls an app named {app!r}, and no policy names it. {there}"])
    return explained(app, policies.for_app(app), automations, _delivery(found))


def _delivery(found: Settings) -> DeliveryLimits | None:
    properties = next((its for name, its in entities.load(found.entities).sources if name == _SOURCE), None)
    if properties is None:
        return None
    return DeliveryLimits(_SOURCE, properties.lock_duration, properties.max_delivery_count, _handler_timeout(found), HOLD)


def _handler_timeout(found: Settings) -> timedelta | None:
    """handlerTimeoutInSec of the component that delivers the events, if that is Service Bus."""
    documents = reading.read([found.resources]).of_kind("Component", dapr=True) if found.resources.exists() else ()
    for each in documents:
        if each.name == found.dapr_bus and component_type(each).startswith("pubsub.azure.servicebus"):
            seconds = number(metadata_text(each, "handlerTimeoutInSec"))
            return _HANDLER if seconds is None else timedelta(seconds=seconds)
    return None


def tell(screen: Screen, view: Explanation, file: str) -> None:
    """Print the explanation for people."""
    for line in _policy_lines(view, file):
        screen.line(line)
    screen.line("")
    rows = [(str(each.number), _pause(each.pause), brief(each.earliest), _or_none(each.latest)) for each in view.attempts[:_ROWS]]
    screen.table(("attempt", "pause before it", "begins after", "at the latest"), rows)
    if len(view.attempts) > _ROWS:
        screen.line(f"and so on, {view.worst.attempts or 'without limit'}")
    screen.line("")
    if view.targets:
        ends = "this target ends" if any(each.targets > 1 for each in view.targets) else "the caller sees"
        columns = ("automation", "deadline", "if its function", "attempts", ends, "after")
        screen.table(columns, [row for each in view.targets for row in _target_rows(each, view.worst)])
    else:
        screen.line("No automation of the catalogue calls it.")
    screen.line("")
    for sentence in (*view.breaker, *_delivery_words(view), *view.remarks):
        screen.line(f"- {sentence}")


def _policy_lines(view: Explanation, file: str) -> list[str]:
    most, longest = view.worst
    attempts = "attempts without limit" if most is None else "1 attempt" if most == 1 else f"at most {most} attempts"
    worst = "only the deadline ends it" if longest is None else f"the last answer comes after {brief(longest)} at worst"
    return [f"{view.app}, by {file}: {attempts} of {show(view.policy.timeout)} each; {worst}."]


def brief(span: timedelta) -> str:
    """A duration for people, rounded to a hundredth of a second."""
    minutes, seconds = divmod(round(span.total_seconds(), 2), 60)
    rest = f"{round(seconds, 1 if minutes else 2):g}s"
    return f"{minutes:.0f}m{rest}" if minutes and seconds else f"{minutes:.0f}m" if minutes else rest


def _pause(pause: tuple[timedelta, timedelta] | None) -> str:
    return "" if pause is None else _span(*pause)


def _span(first: timedelta, last: timedelta) -> str:
    return brief(first) if brief(first) == brief(last) else f"{brief(first)} to {brief(last)}"


def _or_none(latest: timedelta | None) -> str:
    return "not begun" if latest is None else brief(latest)


def _target_rows(target: TargetExplanation, worst: Worst) -> list[tuple[str, ...]]:
    name, deadline = f"{target.automation}/{target.target}", show(target.deadline)
    return [
        (name, deadline, does, _count(seen), " or ".join(_ends(seen, worst)), _span(seen.earliest, seen.latest))
        for does, seen in target.results.items()
    ]


def _ends(seen: ScenarioResult, worst: Worst) -> Iterator[str]:
    for status, code in seen.ends:
        yield f"{status}, {code}" if code else status
    if seen.cut:
        yield "the deadline ends it" if worst.duration is None else "the policy or the deadline ends it"


def _count(seen: ScenarioResult) -> str:
    fewest, most = seen.attempts
    more = " or more" if most >= MOST_ATTEMPTS else ""
    return f"{fewest}{more}" if fewest == most else f"{fewest} to {most}{more}"


def _delivery_words(view: Explanation) -> list[str]:
    if view.delivery is None:
        return []
    its = view.delivery
    deliveries = "without limit" if its.deliveries == UNLIMITED else str(its.deliveries)
    handler = "" if its.handler_timeout is None else f", handler timeout {show(its.handler_timeout)}"
    held = f"; one delivery is held for at most {brief(view.held)}, because pauses above {show(its.hold)} are spent in the queue"
    return [f"Work comes from {its.source}: lock {show(its.lock)}, renewed; deliveries {deliveries}{handler}{held}."]


def as_json(view: Explanation, file: str) -> dict[str, Any]:
    """The explanation as JSON, with times in seconds."""
    retry, breaker = view.policy.retry, view.policy.breaker
    return {
        "app": view.app,
        "file": file,
        "timeout": _seconds(view.policy.timeout),
        "maxRetries": 0 if retry is None else retry.max_retries,
        "mostAttempts": view.worst.attempts,
        "worstSeconds": _seconds(view.worst.duration),
        "attempts": [
            {
                "number": each.number,
                "pause": [_seconds(edge) for edge in each.pause] if each.pause else None,
                "earliest": _seconds(each.earliest),
                "latest": _seconds(each.latest),
            }
            for each in view.attempts
        ],
        "automations": [_target_json(each) for each in view.targets],
        "circuitBreaker": None if breaker is None else {"trip": breaker.trip, "timeout": _seconds(breaker.timeout), "words": view.breaker},
        "delivery": None if view.delivery is None else _delivery_json(view.delivery, view.held),
        "remarks": view.remarks,
    }


def _target_json(target: TargetExplanation) -> dict[str, Any]:
    results = [
        {
            "function": does,
            "attempts": list(seen.attempts),
            "ends": [{"status": status, "code": code} for status, code in seen.ends],
            "seconds": [_seconds(seen.earliest), _seconds(seen.latest)],
            "cut": seen.cut,
        }
        for does, seen in target.results.items()
    ]
    return {
        "automation": target.automation,
        "target": target.target,
        "targets": target.targets,
        "succeedsWhen": target.succeeds_when,
        "deadline": _seconds(target.deadline),
        "results": results,
    }


def _delivery_json(its: DeliveryLimits, held: timedelta) -> dict[str, Any]:
    return {
        "source": its.source,
        "lock": _seconds(its.lock),
        "maxDeliveryCount": its.deliveries,
        "handlerTimeout": _seconds(its.handler_timeout),
        "heldAtMost": _seconds(held),
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
