"""Changes in the policies of function calls. Runs do not store policies, so these changes affect runs in progress at once."""

from __future__ import annotations

from collections.abc import Iterator

from bridge import durations
from bridge.client.answers import AutomationView
from bridge.client.configurationview import ConfigurationView, PolicyView
from bridge.rollout.change import ChangedFile, RolloutChange, change

_FILE = ChangedFile.POLICIES


def changes(before: ConfigurationView, after: ConfigurationView) -> Iterator[RolloutChange]:
    """The changes between the policies of all named apps, and of all other apps."""
    usual = (before["otherPolicy"], after["otherPolicy"])
    yield from _policy("", *usual)
    for app in sorted({*before["policies"], *after["policies"]}):
        if (own := (policy_of(before, app), policy_of(after, app))) != usual:
            yield from _policy(app, *own)
    yield from _deadlines(before, after)


def policy_of(configuration: ConfigurationView, app: str) -> PolicyView:
    """The policy of this app."""
    return configuration["policies"].get(app, configuration["otherPolicy"])


def _policy(app: str, before: PolicyView, after: PolicyView) -> Iterator[RolloutChange]:
    had, has = durations.parse(before["timeout"]), durations.parse(after["timeout"])
    if had != has:
        kind = "timeout-shorter" if has < had else "timeout-longer"
        yield change(kind, _FILE, app, f"an attempt has {after['timeout']}; it had {before['timeout']}", "timeout")
    if before.get("attempts") != after.get("attempts"):
        fewer = (after.get("attempts") or _WITHOUT_END) < (before.get("attempts") or _WITHOUT_END)
        message = f"there are {_attempts(after)}; there were {_attempts(before)}"
        yield change("retries-fewer" if fewer else "retries-more", _FILE, app, message, "retry")
    if before["retried"] != after["retried"]:
        lost = _statuses(before["retried"]) - _statuses(after["retried"])
        message = f"tried again after {after['retried'] or 'nothing'}; before after {before['retried'] or 'nothing'}"
        if after["retried"] and before["retried"]:
            yield change("retries-fewer" if lost else "retries-more", _FILE, app, message, "retry")
    yield from _pauses(app, before, after)
    if before.get("breaker") != after.get("breaker"):
        message = f"the circuit breaker is {after.get('breaker', 'gone')}; it was {before.get('breaker', 'not there')}"
        yield change("policy-changed", _FILE, app, message, "circuitBreaker")


def _pauses(app: str, before: PolicyView, after: PolicyView) -> Iterator[RolloutChange]:
    """A changed pause between attempts. An older bridge does not report its pauses, so the worst total times are compared instead."""
    had, has = before.get("pauses"), after.get("pauses")
    if had and has and had != has:
        yield change("policy-changed", _FILE, app, f"the pauses between attempts are {has}; they were {had}", "retry")
    elif not (had and has) and _told(before) == _told(after) and before.get("longest") != after.get("longest"):
        message = (
            f"attempts and pauses take {after.get('longest', 'until the deadline')} at worst; it was {before.get('longest', 'without end')}"
        )
        yield change("policy-changed", _FILE, app, message, "retry")


def _told(policy: PolicyView) -> tuple[object, ...]:
    """The fields for which there is a more specific kind of change."""
    return durations.parse(policy["timeout"]), policy.get("attempts")


_WITHOUT_END = 10**9


def _attempts(policy: PolicyView) -> str:
    count = policy.get("attempts")
    return "attempts until the deadline" if count is None else f"{count} attempts" if count > 1 else "no repeats"


def _statuses(text: str) -> frozenset[int]:
    ranges = [each.partition("-") for each in text.split(",") if each]
    return frozenset(status for first, _, last in ranges for status in range(int(first), int(last or first) + 1))


def _deadlines(before: ConfigurationView, after: ConfigurationView) -> Iterator[RolloutChange]:
    """Automations whose deadline does not leave room any longer for the worst time of a policy."""
    had = {each["name"]: each for each in before["automations"]}
    for automation in after["automations"]:
        for app in apps_of(automation):
            if _fits(after, automation, app):
                continue
            old = had.get(automation["name"])
            if old is None or (app in apps_of(old) and not _fits(before, old, app)):
                continue
            longest = policy_of(after, app).get("longest", "without end")
            message = f"attempts at {app} and their pauses take {longest} at worst, and the deadline is {automation['deadline']}"
            yield change("deadline-exceeded", ChangedFile.CATALOGUE, automation["name"], message, "spec", "deadline")


def apps_of(automation: AutomationView) -> list[str]:
    """The function apps that the targets of an automation call, each once."""
    return list(dict.fromkeys(target["http"]["app"] for target in automation["targets"] if target.get("http")))


def _fits(configuration: ConfigurationView, automation: AutomationView, app: str) -> bool:
    """Whether the deadline leaves room for the worst time of the policy."""
    longest = policy_of(configuration, app).get("longest")
    return longest is not None and durations.parse(longest) <= durations.parse(automation["deadline"])
