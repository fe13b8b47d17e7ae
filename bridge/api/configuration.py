"""The configuration as the API shows it, from what the files say."""

from __future__ import annotations

from itertools import groupby

from bridge import durations
from bridge.catalog import Automation, Catalog
from bridge.client.answers import AutomationView
from bridge.client.configurationview import ConfigurationView, PolicyView, SettingsView
from bridge.resilience import Policies, Policy, worst_case
from bridge.settings import Settings


def configuration(catalog: Catalog, policies: Policies, settings: Settings) -> ConfigurationView:
    """Everything of these."""
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
    if breaker is not None:
        shown["breaker"] = f"{breaker.trip}, for {durations.show(breaker.timeout)}"
    return shown


def _ranges(statuses: frozenset[int] | tuple[int, ...]) -> str:
    """Statuses as Dapr writes them: `408,429,500-599`."""
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
        "limits": {
            "maxInputBytes": settings.max_input_bytes,
            "maxBatchBytes": settings.max_batch_bytes,
            "maxOutputBytes": settings.max_output_bytes,
            "maxWait": durations.show(settings.max_wait),
            "retention": durations.show(settings.retention),
        },
    }
