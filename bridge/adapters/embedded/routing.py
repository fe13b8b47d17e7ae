"""Which queues and subscriptions a message comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.entities import Entities, Subscription
from bridge.errors import Undeliverable
from bridge.ports import Message


class Routing:
    """Follows rules and forwarding (ForwardTo) from a topic or queue to the sources where messages are stored."""

    def __init__(self, entities: Entities) -> None:
        self._queues = {queue.name: queue.properties.forward_to for queue in entities.queues}
        self._topics: Mapping[str, tuple[Subscription, ...]] = {topic.name: topic.subscriptions for topic in entities.topics}

    def sources(self, message: Message) -> list[str]:
        """The sources for a message sent to its topic. Raises Undeliverable if there is no such topic or queue."""
        return self.sources_behind(message.topic, message)

    def sources_behind(self, name: str, message: Message) -> list[str]:
        """The sources for a message sent to the queue or topic `name`."""
        return list(self._follow(name, message))

    def _follow(self, name: str, message: Message) -> Iterator[str]:
        if name in self._queues:
            onward = self._queues[name]
            yield from self._follow(onward, message) if onward else (name,)
            return
        if name not in self._topics:
            raise Undeliverable(f"There is no topic or queue named {name!r}.", hint="Add it to the entities file or mend the name.")
        for subscription in self._topics[name]:
            if not subscription.rules or subscription.takes(_fields(message), message.properties):
                onward = subscription.properties.forward_to
                yield from self._follow(onward, message) if onward else (f"{name}/{subscription.name}",)


def _fields(message: Message) -> Mapping[str, str]:
    return {
        "label": message.label,
        "correlation_id": message.correlation_id,
        "message_id": message.message_id,
        "content_type": message.content_type,
    }
