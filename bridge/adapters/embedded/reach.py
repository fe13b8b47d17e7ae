"""Which subscriptions a message sent to a topic reaches, by rules and forwarding."""

from __future__ import annotations

from bridge.adapters.embedded import rules
from bridge.adapters.embedded.drafts import Draft
from bridge.adapters.embedded.routing import Routing, RulesOf
from bridge.entities import Entities
from bridge.errors import Undeliverable


class Reach:
    """Answers for the topics of a list of entities; for whatever else nothing is known."""

    def __init__(self, entities: Entities, rules_of: RulesOf) -> None:
        self._routing = Routing(entities, rules_of)
        self._topics = {topic.name for topic in entities.topics}

    @classmethod
    def of_file(cls, entities: Entities) -> Reach:
        """By the rules of the entities file."""
        compiled = {
            f"{topic.name}/{its.name}": [rules.compile_rule(rules.of_entity(rule)) for rule in its.rules] or None
            for topic in entities.topics
            for its in topic.subscriptions
        }
        return cls(entities, compiled.__getitem__)

    def of(self, topic: str, draft: Draft) -> tuple[str, ...]:
        """The queues and subscriptions that store the message, each once; none if `topic` is no topic."""
        if topic not in self._topics:
            return ()
        try:
            found = [route.queue for route in self._routing.routes(topic, draft)]
        except Undeliverable:
            return ()
        return tuple(dict.fromkeys(found))
