"""Changes in the settings that matter to callers and functions: topics, addresses of function apps, limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge import durations
from bridge.client.answers import AutomationView
from bridge.client.configurationview import SettingsView, TopicIdentityView
from bridge.rollout.change import ChangedFile, RolloutChange, change

_FILE = ChangedFile.SETTINGS
#: Names of the settings, by those of the answer.
_NAMES: Mapping[str, str] = {
    "maxInputBytes": "max_input_bytes",
    "maxEventBytes": "max_event_bytes",
    "maxBatchBytes": "max_batch_bytes",
    "maxOutputBytes": "max_output_bytes",
    "maxWait": "max_wait",
    "retention": "retention",
}


def changes(before: SettingsView, after: SettingsView, running: Sequence[AutomationView]) -> Iterator[RolloutChange]:
    """The changes between two sets of settings. `running` are the automations that may have runs in progress."""
    yield from _topics(before, after)
    yield from _apps(before, after, running)
    yield from _limits(before["limits"], after["limits"])


def _topics(before: SettingsView, after: SettingsView) -> Iterator[RolloutChange]:
    for topic in sorted({*before["replyTopics"]} - {*after["replyTopics"]}):
        message = f"{topic} is no longer a reply topic: a request that names it is refused with ReplyTopicNotAllowed"
        yield change("reply-topic-removed", _FILE, "reply_topics", message, "reply_topics")
    if before["defaultReplyTopic"] != after["defaultReplyTopic"]:
        message = f"replies go to {after['defaultReplyTopic']} where a request names no topic; they went to {before['defaultReplyTopic']}"
        yield change("reply-topic-moved", _FILE, "default_reply_topic", message, "default_reply_topic")
    for topic in sorted({*before["requestTopics"]} - {*after["requestTopics"]}):
        message = f"requests are no longer accepted from the topic {topic}"
        yield change("request-topic-removed", _FILE, "topics", message, "topics")
    for topic in sorted({*after["replyTopics"]} - {*before["replyTopics"]}):
        yield change("topic-added", _FILE, "reply_topics", f"{topic} is new", "reply_topics")
    yield from _identities(before["requestTopics"], after["requestTopics"])


def _identities(before: Mapping[str, TopicIdentityView], after: Mapping[str, TopicIdentityView]) -> Iterator[RolloutChange]:
    """Changes in the caller that the requests of a topic count as."""
    for topic, identity in sorted(after.items()):
        if topic not in before:
            yield change("topic-added", _FILE, "topics", f"{topic} is new", "topics", topic)
            continue
        was, had, has = before[topic], {*before[topic]["roles"]}, {*identity["roles"]}
        if was["submitter"] != identity["submitter"]:
            message = f"requests on {topic} count as those of {identity['submitter']}; they counted as those of {was['submitter']}"
            yield change("topic-identity-changed", _FILE, "topics", message, "topics", topic)
        if had - has:
            message = f"requests on {topic} no longer have the roles {', '.join(sorted(had - has))}"
            yield change("topic-roles-fewer", _FILE, "topics", message, "topics", topic)
        if has - had:
            message = f"requests on {topic} have the roles {', '.join(sorted(has - had))} now: whoever may send there may start more"
            yield change("topic-roles-more", _FILE, "topics", message, "topics", topic)


def _apps(before: SettingsView, after: SettingsView, running: Sequence[AutomationView]) -> Iterator[RolloutChange]:
    called = {target["http"]["app"] for each in running for target in each["targets"] if target.get("http")}
    for app in sorted(({*before["functionApps"]} - {*after["functionApps"]}) & called):
        yield change("function-app-removed", _FILE, app, "has no address any more", "function_apps")
    for app in sorted({*after["functionApps"]} - {*before["functionApps"]}):
        yield change("function-app-added", _FILE, app, "is new", "function_apps", app)


def _limits(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RolloutChange]:
    for key, name in _NAMES.items():
        had, has = before.get(key, "none"), after.get(key, "none")
        if had != has:
            kind = "limit-lower" if _number(has) < _number(had) else "limit-higher"
            yield change(kind, _FILE, name, f"is {has}; it was {had}", name)


def _number(limit: int | str) -> float:
    """A limit as a number, in bytes or seconds. No limit is larger than any number."""
    if limit == "none":
        return math.inf
    return durations.parse(limit).total_seconds() if isinstance(limit, str) else limit
