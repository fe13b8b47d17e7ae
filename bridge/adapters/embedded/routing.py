"""Finds the queues and subscriptions that get a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bridge.adapters.embedded.drafts import Draft
from bridge.adapters.embedded.rules import CompiledRule, selected
from bridge.entities import Entities
from bridge.errors import Undeliverable

RulesOf = Callable[[str], Sequence[CompiledRule] | None]
"""The rules of a subscription, named "topic/subscription"; None if it takes every message."""


class QueueRoute(NamedTuple):
    """A queue or subscription that stores a message, as the rules on the way changed it.

    `detecting` are the queues and topics on the way that refuse duplicates.
    """

    queue: str
    draft: Draft
    detecting: tuple[str, ...]


class Routing:
    """Follows rules and forwarding (ForwardTo) from a topic or queue to the queues and subscriptions that store the message."""

    def __init__(self, entities: Entities, rules_of: RulesOf) -> None:
        self._rules_of = rules_of
        self._queues = {queue.name: queue.properties.forward_to for queue in entities.queues}
        self._topics: Mapping[str, tuple[tuple[str, str | None], ...]] = {
            topic.name: tuple((f"{topic.name}/{each.name}", each.properties.forward_to) for each in topic.subscriptions)
            for topic in entities.topics
        }
        self._direct: dict[str, tuple[str, ...] | None] = {}
        self._detecting = frozenset(name for name, window in entities.duplicate_windows if window is not None)

    def direct(self, name: str) -> tuple[str, ...] | None:
        """The queues and subscriptions that store every message sent to `name` as it is; None if that depends on the message."""
        if name not in self._direct:
            self._direct[name] = self._find_direct(name)
        return self._direct[name]

    def rules_changed(self) -> None:
        """Forget what was known of rules."""
        self._direct.clear()

    def _find_direct(self, name: str) -> tuple[str, ...] | None:
        onward = [self._queues[name]] if name in self._queues else [each for _, each in self._topics.get(name, ())]
        paths = (name,) if name in self._queues else tuple(path for path, _ in self._topics.get(name, ()))
        ruled = name in self._topics and any(self._rules_of(path) is not None for path in paths)
        known = name in self._queues or name in self._topics
        return paths if known and not ruled and not any(onward) and name not in self._detecting else None

    def routes(self, name: str, draft: Draft) -> list[QueueRoute]:
        """The queues and subscriptions that store a message sent to the queue or topic `name`.

        Raises Undeliverable if there is no such topic or queue.
        """
        return list(self._follow(name, draft, ()))

    def _follow(self, name: str, draft: Draft, detecting: tuple[str, ...]) -> Iterator[QueueRoute]:
        if name in self._detecting:
            detecting = (*detecting, name)
        if name in self._queues:
            yield from self._onward(name, self._queues[name], draft, detecting)
            return
        if name not in self._topics:
            raise Undeliverable(f"There is no topic or queue named {name!r}.", hint="Add it to the entities file or correct the name.")
        properties = None
        for path, onward in self._topics[name]:
            rules = self._rules_of(path)
            if rules is None:
                yield from self._onward(path, onward, draft, detecting)
                continue
            properties = properties or draft.properties()
            for rule in selected(rules, properties):
                copy = draft if rule is None else draft.changed_by(rule, properties)
                yield from self._onward(path, onward, copy, detecting)

    def _onward(self, path: str, onward: str | None, draft: Draft, detecting: tuple[str, ...]) -> Iterator[QueueRoute]:
        if onward is None:
            yield QueueRoute(path, draft, detecting)
        else:
            yield from self._follow(onward, draft, detecting)
