"""The configuration in the form in which the API shows it."""

from __future__ import annotations

from itertools import groupby

from bridge import durations
from bridge.catalog import Automation, Catalog
from bridge.client.answers import AutomationView
from bridge.client.configurationview import ConfigurationView, LimitsView, PolicyView, SettingsView
from bridge.resilience import BreakerRules, Policies, Policy, Retry, worst_case
from bridge.settings import Settings


def configuration(catalog: Catalog, policies: Policies, settings: Settings) -> ConfigurationView:
    """The catalogue, the policies and the settings."""
    apps = {target.http.app for automation in catalog for target in automation.targets if target.http}
    return {
        "automations": [automation(each) for each in catalog],
        "policies": {app: _policy(policies.for_app(app)) for app in sorted(apps | set(policies.by_app))},
        "otherPolicy": _policy(policies.otherwise),
        "settings": _settings(settings),
    }


def automation(shown: Automation) -> AutomationView:
    """One automation with its input schema."""
    return {
        "name": shown.name,
        "description": shown.description,
        "input": dict(shown.input_schema),
        "deadline": durations.show(shown.deadline),
        "succeedsWhen": shown.rule.text,
        "allow": shown.allow.model_dump(exclude_none=True),  # type: ignore[typeddict-item]  # pydantic does not say which keys
        "targets": [target.model_dump(mode="json", exclude_none=True, by_alias=True) for target in shown.targets],
    }


def _policy(policy: Policy) -> PolicyView:
    worst, breaker = worst_case(policy), policy.breaker
    shown: PolicyView = {"timeout": durations.show(policy.timeout), "retried": _ranges(policy.retry.statuses if policy.retry else ())}
    if worst.attempts is not None:
        shown["attempts"] = worst.attempts
    if worst.duration is not None:
        shown["longest"] = durations.show(worst.duration)
    if policy.retry is not None and worst.attempts != 1:
        shown["pauses"] = _pauses(policy.retry)
    if breaker is not None:
        shown["breaker"] = _breaker(breaker)
    return shown


def _pauses(retry: Retry) -> str:
    if retry.policy == "constant":
        return durations.show(retry.duration)
    return f"{durations.show(retry.interval(1))}, growing to at most {durations.show(retry.max_interval)}"


def _breaker(rules: BreakerRules) -> str:
    """A circuit breaker. Default values are left out, so that an older bridge, which knows fewer fields, shows the same."""
    usual = BreakerRules()
    interval = f", counts from zero every {durations.show(rules.interval)}" if rules.interval != usual.interval else ""
    probes = f", then {rules.max_requests} calls as a probe" if rules.max_requests != usual.max_requests else ""
    return f"{rules.trip}, for {durations.show(rules.timeout)}{probes}{interval}"


def _ranges(statuses: frozenset[int] | tuple[int, ...]) -> str:
    """Status codes in Dapr's notation, such as `408,429,500-599`."""
    runs = [[each for _, each in group] for _, group in groupby(enumerate(sorted(statuses)), lambda item: item[1] - item[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _settings(settings: Settings) -> SettingsView:
    return {
        "requestTopics": {
            topic: {"submitter": identity.submitter, "roles": sorted(identity.roles)} for topic, identity in sorted(settings.topics.items())
        },
        "replyTopics": sorted(settings.reply_topics),
        "defaultReplyTopic": settings.default_reply_topic,
        "functionApps": sorted(settings.function_apps),
        "limits": _limits(settings),
    }


def _limits(settings: Settings) -> LimitsView:
    limits: LimitsView = {
        "maxInputBytes": settings.max_input_bytes,
        "maxBatchBytes": settings.max_batch_bytes,
        "maxOutputBytes": settings.max_output_bytes,
        "maxWait": durations.show(settings.max_wait),
        "retention": durations.show(settings.retention),
    }
    if settings.max_event_bytes is not None:
        limits["maxEventBytes"] = settings.max_event_bytes
    return limits
