"""Finds the positions of entries of the list of Service Bus entities in its file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.entities import Entities, SubscriptionEntity, SubscriptionProperties, TopicEntity

_TOP: tuple[Key, ...] = ("UserConfig", "Namespaces", 0)


def subscriptions(entities: Entities) -> Iterator[tuple[tuple[Key, ...], TopicEntity, SubscriptionEntity]]:
    """Every subscription with its position and its topic."""
    for topic_number, topic in enumerate(entities.topics):
        for number, subscription in enumerate(topic.subscriptions):
            yield (*_TOP, "Topics", topic_number, "Subscriptions", number), topic, subscription


def read_from(entities: Entities) -> Iterator[tuple[tuple[Key, ...], str, SubscriptionProperties]]:
    """Everything that messages are received from, with its position: queues by name, and subscriptions as `topic/subscription`."""
    for number, queue in enumerate(entities.queues):
        yield (*_TOP, "Queues", number), queue.name, queue.properties
    for place, topic, subscription in subscriptions(entities):
        yield place, f"{topic.name}/{subscription.name}", subscription.properties


def line_of(document: ConfigDocument, problem: str) -> int | None:
    """The line of the entity that a problem names, as in `topic/subscription: ForwardTo …` or `2 times a queue or topic is named 'x'`."""
    places = dict[str, list[tuple[Key, ...]]]()
    for name, place in _named(document):
        places.setdefault(name.lower(), []).append(place)
    if twice := re.match(r"\d+ times a .*? is named '([^']*)'", problem):
        same = [each for name, found in places.items() if name.rpartition("/")[2] == twice[1].lower() for each in found]
        return document.line(*same[1], "Name") if len(same) > 1 else None
    name, _, rest = problem.partition(": ")
    found = places.get(name.lower())
    field = re.match(r"[A-Z]\w+", rest)
    return document.line(*found[0], "Properties", *([field[0]] if field else ())) if found else None


def _named(document: ConfigDocument) -> Iterator[tuple[str, tuple[Key, ...]]]:
    """The entities of a list that may be wrong, by their names, with their places."""
    for group in ("Queues", "Topics"):
        for number, _ in document.items(*_TOP, group):
            place = (*_TOP, group, number)
            name = str(document.get(*place, "Name", default=""))
            yield name, place
            for index, _ in document.items(*place, "Subscriptions"):
                below = (*place, "Subscriptions", index)
                yield f"{name}/{document.get(*below, 'Name', default='')}", below
