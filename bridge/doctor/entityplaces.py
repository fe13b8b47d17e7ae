"""Where the entries of the list of entities stand in its file."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.document import Key
from bridge.entities import Entities, SubscriptionEntity, SubscriptionProperties, TopicEntity

_TOP: tuple[Key, ...] = ("UserConfig", "Namespaces", 0)


def subscriptions(entities: Entities) -> Iterator[tuple[tuple[Key, ...], TopicEntity, SubscriptionEntity]]:
    """Every subscription with its place and its topic."""
    for topic_number, topic in enumerate(entities.topics):
        for number, subscription in enumerate(topic.subscriptions):
            yield (*_TOP, "Topics", topic_number, "Subscriptions", number), topic, subscription


def read_from(entities: Entities) -> Iterator[tuple[tuple[Key, ...], str, SubscriptionProperties]]:
    """All that messages are read from, with its place: queues by their name, subscriptions as `topic/subscription`."""
    for number, queue in enumerate(entities.queues):
        yield (*_TOP, "Queues", number), queue.name, queue.properties
    for place, topic, subscription in subscriptions(entities):
        yield place, f"{topic.name}/{subscription.name}", subscription.properties
