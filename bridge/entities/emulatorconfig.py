"""Turns a list of entities into a configuration that Microsoft's Service Bus emulator accepts.

The limits are those of the emulator's own schema (`Config-schema.json` in its repository, 2026), of its documentation ("Overview of the
Azure Service Bus emulator", usage quotas), and for Sql filters of its issues. Every change is named, so that nobody takes the emulator's
behaviour for that of the entities file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bridge.entities import Entities, TopicEntity

NAMESPACE = "sbemulatorns"  #: the one namespace of the emulator; it cannot be renamed
ADDED = "emulator"  #: the subscription of a topic that has none, which the emulator would refuse
_SECOND = timedelta(seconds=1)
#: The least and the most that the emulator takes. Its lock durations have a least that differs, so the larger one counts for subscriptions.
_RANGES: dict[str, tuple[Any, Any]] = {
    "MaxDeliveryCount": (1, 10),
    "DefaultMessageTimeToLive": (timedelta(minutes=5), timedelta(hours=1)),
    "DuplicateDetectionHistoryTimeWindow": (timedelta(seconds=5), timedelta(minutes=5)),
    "LockDuration": (timedelta(seconds=5), timedelta(minutes=5)),
}
_SUBSCRIPTION_RANGES = {**_RANGES, "LockDuration": (timedelta(minutes=1), timedelta(minutes=5))}
MOST_ENTITIES, MOST_SUBSCRIPTIONS = 50, 50
MOST_FILTERS = {"Sql": 70, "Correlation": 1000}  #: of one topic


@dataclass(frozen=True)
class EmulatorConfig:
    """The contents of the emulator's `Config.json`, and in words what was changed and what the emulator will refuse."""

    document: dict[str, Any]
    changes: list[str]
    problems: list[str]


def emulator_config(entities: Entities) -> EmulatorConfig:
    """The configuration for the emulator. With `problems` the emulator does not start with it, because too much is named."""
    changes: list[str] = []
    namespace = entities.model_dump(mode="python", by_alias=True, exclude_none=True)
    if namespace["Name"] != NAMESPACE:
        changes.append(f"Name: {namespace['Name']!r} became {NAMESPACE!r}, because the emulator has one namespace with that name")
        namespace["Name"] = NAMESPACE
    for queue in namespace["Queues"]:
        changes += _fit(queue["Name"], queue["Properties"], _RANGES)
    for topic in namespace["Topics"]:
        changes += _fit(topic["Name"], topic["Properties"], _RANGES)
        changes += _fit_subscriptions(topic)
    if any(its.default_message_time_to_live is None for _, its in entities.sources):
        changes.append("everywhere: a message lives an hour at most, also where DefaultMessageTimeToLive is not given")
    document = {"UserConfig": {"Namespaces": [_written(namespace)], "Logging": {"Type": "File"}}}
    return EmulatorConfig(document, changes, list(_refused(entities)))


def _fit_subscriptions(topic: dict[str, Any]) -> Iterator[str]:
    if not topic["Subscriptions"]:
        topic["Subscriptions"] = [{"Name": ADDED, "Properties": {"DefaultMessageTimeToLive": timedelta(minutes=5)}, "Rules": []}]
        yield f"{topic['Name']}: the subscription {ADDED!r} was added, because the emulator takes no topic without one"
    for subscription in topic["Subscriptions"]:
        yield from _fit(f"{topic['Name']}/{subscription['Name']}", subscription["Properties"], _SUBSCRIPTION_RANGES)
        for rule in subscription["Rules"]:
            correlation = rule["Properties"].get("CorrelationFilter", {})
            if not correlation.get("Properties", True):
                del correlation["Properties"]  # the emulator's schema takes none that is empty


def _fit(name: str, properties: dict[str, Any], ranges: dict[str, tuple[Any, Any]]) -> Iterator[str]:
    """Bring the properties into the emulator's ranges; yields each change in words."""
    for field, (least, most) in ranges.items():
        value = properties.get(field)
        if value is None:
            continue
        fitting = min(max(value, least), most)
        if isinstance(fitting, timedelta):
            fitting = math.ceil(fitting / _SECOND) * _SECOND
        if fitting != value:
            properties[field] = fitting
            yield f"{name}: {field} {_text(value)} became {_text(fitting)}, because the emulator takes {_text(least)} to {_text(most)}"


def _refused(entities: Entities) -> Iterator[str]:
    if len(entities.names) > MOST_ENTITIES:
        yield f"there are {len(entities.names)} queues and topics; the emulator takes {MOST_ENTITIES}"
    for topic in entities.topics:
        yield from _refused_of(topic)


def _refused_of(topic: TopicEntity) -> Iterator[str]:
    if len(topic.subscriptions) > MOST_SUBSCRIPTIONS:
        yield f"{topic.name}: there are {len(topic.subscriptions)} subscriptions; the emulator takes {MOST_SUBSCRIPTIONS}"
    rules = [rule for subscription in topic.subscriptions for rule in subscription.rules]
    for kind, most in MOST_FILTERS.items():
        count = sum(rule.properties.filter_type == kind for rule in rules)
        if count > most:
            yield f"{topic.name}: there are {count} {kind} filters; the emulator takes {most}"
    for rule in rules:
        if rule.name.startswith("$"):
            yield f"{topic.name}: the rule {rule.name!r} begins with '$'; the emulator takes names of letters and digits"
        filtered = rule.properties.correlation_filter
        if filtered is not None and not (filtered.fields or filtered.properties):
            yield f"{topic.name}: the filter of the rule {rule.name!r} names no field; the emulator takes none that is empty"


def _written(value: Any) -> Any:
    """The value as JSON has it, with durations as in ISO 8601."""
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    return _text(value) if isinstance(value, timedelta) else value


def _text(value: object) -> str:
    """A value in words; a duration in days, hours, minutes and seconds as in ISO 8601."""
    if not isinstance(value, timedelta):
        return str(value)
    minutes, seconds = divmod(value - timedelta(days=value.days), timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    exact = f"{seconds.total_seconds():.6f}".rstrip("0").rstrip(".")
    parts = ((f"{hours}H", hours), (f"{minutes}M", minutes), (f"{exact}S", seconds))
    time = "".join(text for text, count in parts if count)
    return "P" + f"{value.days}D" * bool(value.days) + "T" * bool(time) + time
